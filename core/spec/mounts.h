#pragma once

#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/status.h"

namespace pouch::spec {

struct BindMount {
  std::string source;
  std::string destination;
  bool read_only = false;
  bool recursive = true;
  bool recursive_read_only = false;  ///< refuse where submounts cannot be made read-only
  std::string propagation;           ///< "rprivate" when not given
  /// `-v`: a missing source becomes an empty folder, as Docker does; `--mount` refuses.
  bool create_source = false;
  std::string mode;  ///< as given with -v, for inspect
};

struct TmpfsMount {
  std::string destination;
  std::vector<std::string> options;
  bool read_only = false;
  bool by_tmpfs_option = false;  ///< of HostConfig.Tmpfs, not of .Mounts
};

/// A container's mounts, understood and checked, in the order in which they must be made.
struct MountPlan {
  std::vector<BindMount> binds;
  std::vector<TmpfsMount> tmpfs;
};

/// From HostConfig.Binds, .Mounts and .Tmpfs. InvalidArgument: bad syntax, a relative path, two mounts at one
/// destination. NotImplemented names the option: volumes, images, npipe, cluster mounts.
Result<MountPlan> plan_mounts(const api::HostConfig& host);

/// The same for inspect.
std::vector<api::MountPoint> mount_points(const MountPlan& plan);

}  // namespace pouch::spec
