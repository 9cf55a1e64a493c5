#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace pouch::sys {

/// A line of /proc/self/mountinfo (proc(5)), octal escapes undone.
struct MountEntry {
  int id = 0;
  int parent_id = 0;
  uint32_t major = 0;
  uint32_t minor = 0;
  std::string root;  ///< the part of its file system that is mounted
  std::string mount_point;
  std::string options;      ///< per mount: "rw,nosuid"
  std::string propagation;  ///< the optional fields: "shared:1", "master:2", "" is private
  std::string fs_type;
  std::string source;
  std::string super_options;
};

Result<std::vector<MountEntry>> parse_mountinfo(std::string_view text);
Result<std::vector<MountEntry>> read_mountinfo();

Result<bool> is_mount_point(const std::string& path);
/// The mount that `path` (absolute, without links) is on.
Result<MountEntry> mount_of(const std::string& path);
/// Unmounts every mount at and below `path`, deepest first, each as often as it is stacked; what is busy is
/// detached lazily. Ok when there is none.
Status unmount_tree(const std::string& path);

/// A mount(2) as fstab(5) writes it: options are flags of the mount ("ro", "bind", "rshared") and words for
/// the file system ("size=1m").
struct MountOrder {
  std::string type;
  std::string source;
  std::string options;
};
/// At a folder that is there.
Status mount_at(const MountOrder& order, const std::string& target);
/// Mounts what the descriptor (O_PATH will do) names, with what is mounted below it, at `target`.
Status bind_fd(int fd, const std::string& target);

}  // namespace pouch::sys
