#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

struct NamespaceInfo {
  std::string name{};
  Labels labels{};  ///< e.g. "containerd.io/defaults/snapshotter"
};

/// containerd's namespaces. They come into being on first use; creating one sets labels. Threads and errors:
/// see Client.
class Namespaces : public Service {
 public:
  using Service::Service;

  /// An absent namespace is like an empty one (containerd does not tell them apart).
  Result<NamespaceInfo> get(const Call& call, const std::string& name) const;
  Result<std::vector<NamespaceInfo>> list(const Call& call) const;
  Status create(const Call& call, const std::string& name, const Labels& labels = {}) const;
  /// Conflict while it holds anything.
  Status remove(const Call& call, const std::string& name) const;
};

}  // namespace pouch::ctrd
