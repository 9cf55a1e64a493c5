#pragma once

#include <string>
#include <vector>

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/types.h"

namespace pouch::container {

/// Where mounts are put together that a start hands to the runtime.
std::string staging_dir(const std::string& run_dir, const ContainerId& id, int64_t generation);

/// Mounts of the host that live while a container is started: paths within volumes and images, found without
/// a link leading out, which nobody can change between the look and the runtime's mount. One start's, and
/// its thread's.
class StagedMounts {
 public:
  explicit StagedMounts(std::string dir) : dir_(std::move(dir)) {}
  ~StagedMounts();
  StagedMounts(const StagedMounts&) = delete;
  StagedMounts& operator=(const StagedMounts&) = delete;

  /// What `path` is below the folder `root`; the path on the host at which it is mounted. InvalidArgument
  /// when it cannot be reached.
  Result<std::string> bind_below(const std::string& root, const std::string& path);
  /// What a snapshotter's mounts of a view make.
  Result<std::string> mount(const std::vector<ctrd::Mount>& mounts);
  /// Removes all; the runtime has its own.
  Status clear();

 private:
  Result<std::string> new_place(bool is_folder);

  const std::string dir_;
  int count_ = 0;
};

/// What a start that died has left. Ok when it is nothing.
Status clear_staging(const std::string& dir);

}  // namespace pouch::container
