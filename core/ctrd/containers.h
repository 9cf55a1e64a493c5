#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

/// containerd's container records: metadata alone; what runs is a task. Threads and errors: see Client.
class Containers : public Service {
 public:
  using Service::Service;

  /// AlreadyExists when the id is taken. The record pins its snapshot against the garbage collector.
  Status create(const Call& call, const ContainerRecord& record) const;
  Result<ContainerRecord> get(const Call& call, const ContainerId& id) const;
  Result<std::vector<ContainerRecord>> list(const Call& call, const Filters& filters = {}) const;
  /// Sets these labels and keeps the others; an empty value removes a label.
  Status update_labels(const Call& call, const ContainerId& id, const Labels& labels) const;
  Status update_spec(const Call& call, const ContainerId& id, const std::string& spec_json) const;
  /// The record alone: remove the task before and the snapshot after. NotFound when absent.
  Status remove(const Call& call, const ContainerId& id) const;
};

}  // namespace pouch::ctrd
