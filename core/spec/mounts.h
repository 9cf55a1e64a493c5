#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/status.h"

namespace pouch::spec {

/// How far "read-only" reaches: to the mount itself, or to what is mounted below it, too.
enum class ReadOnlyReach { kAllIfPossible, kTop, kAllOrFail };

struct BindMount {
  std::string source;
  std::string destination;
  bool read_only = false;
  bool recursive = true;
  ReadOnlyReach reach = ReadOnlyReach::kAllIfPossible;
  bool recursive_read_only = false;  ///< what became of `reach` with the runtime at hand
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

/// A mount whose source the engine has to find first: of a volume or an image.
struct NamedMount {
  api::Mount mount;  ///< with a clean Target; without Source it is a new volume
  std::string mode;  ///< as given with -v, for inspect
};

/// A container's mounts, understood and checked, in the order in which they must be made.
struct MountPlan {
  std::vector<BindMount> binds;
  std::vector<TmpfsMount> tmpfs;
  std::vector<NamedMount> named;
};

/// From HostConfig.Binds, .Mounts and .Tmpfs. InvalidArgument: bad syntax, a relative path, two mounts at one
/// destination. NotImplemented names the option: npipe, cluster mounts.
Result<MountPlan> plan_mounts(const api::HostConfig& host);

/// A container in HostConfig.VolumesFrom and how its mounts are taken over. InvalidArgument for a bad mode.
struct MountSource {
  std::string container;
  bool read_only = false;
};
Result<MountSource> parse_volumes_from(const std::string& text);

/// "/a//b/../c/" -> "/a/c"; empty when not absolute.
std::string clean_path(std::string_view path);

/// The long form of a mount, and back: how mounts of other containers are kept.
api::Mount to_mount(const BindMount& bind);
api::Mount to_mount(const TmpfsMount& tmpfs);
Result<BindMount> bind_of(const api::Mount& mount);
Result<TmpfsMount> tmpfs_of(const api::Mount& mount);

/// The same for inspect.
std::vector<api::MountPoint> mount_points(const MountPlan& plan);

}  // namespace pouch::spec
