#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

/// Layers and containers' file systems. `snapshotter` is a name such as "overlayfs". An active snapshot
/// without lease, container record or gc label is taken by the garbage collector. Threads and errors: see
/// Client.
class Snapshots : public Service {
 public:
  using Service::Service;

  /// A writable snapshot on `parent` (a committed name; empty: on nothing). AlreadyExists when the key is
  /// taken.
  Result<std::vector<Mount>> prepare(const Call& call, const std::string& snapshotter, const std::string& key,
                                     const std::string& parent, const Labels& labels = {}) const;
  /// The same, read-only.
  Result<std::vector<Mount>> view(const Call& call, const std::string& snapshotter, const std::string& key,
                                  const std::string& parent, const Labels& labels = {}) const;
  Result<std::vector<Mount>> mounts(const Call& call, const std::string& snapshotter,
                                    const std::string& key) const;
  /// Turns the active `key` into the committed `name`. AlreadyExists when the name is taken (the key stays).
  Status commit(const Call& call, const std::string& snapshotter, const std::string& name,
                const std::string& key, const Labels& labels = {}) const;
  /// NotFound when absent; Conflict while others stand on it.
  Status remove(const Call& call, const std::string& snapshotter, const std::string& key) const;
  Result<SnapshotInfo> stat(const Call& call, const std::string& snapshotter, const std::string& key) const;
  Result<std::vector<SnapshotInfo>> list(const Call& call, const std::string& snapshotter,
                                         const Filters& filters = {}) const;
  Result<SnapshotUsage> usage(const Call& call, const std::string& snapshotter, const std::string& key) const;
  /// Sets these labels and keeps the others; an empty value removes a label.
  Result<SnapshotInfo> update_labels(const Call& call, const std::string& snapshotter, const std::string& key,
                                     const Labels& labels) const;
};

}  // namespace pouch::ctrd
