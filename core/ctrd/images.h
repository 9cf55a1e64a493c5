#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

/// Names of images; a record keeps all it refers to from the garbage collector. Threads and errors: see
/// Client.
class Images : public Service {
 public:
  using Service::Service;

  Result<ImageRecord> get(const Call& call, const std::string& name) const;
  Result<std::vector<ImageRecord>> list(const Call& call, const Filters& filters = {}) const;
  /// AlreadyExists when the name is taken; NotFound when the target blob is absent in newer containerds.
  Result<ImageRecord> create(const Call& call, const ImageRecord& image) const;
  /// Replaces target and labels. NotFound when absent.
  Result<ImageRecord> update(const Call& call, const ImageRecord& image) const;
  /// Creates or replaces, whichever is needed, also while others do the same.
  Result<ImageRecord> put(const Call& call, const ImageRecord& image) const;
  /// `sync`: the space is free when this returns (the garbage collector has run).
  Status remove(const Call& call, const std::string& name, bool sync) const;
};

}  // namespace pouch::ctrd
