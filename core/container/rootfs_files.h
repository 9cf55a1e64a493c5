#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/ctrd/types.h"

namespace pouch::container {

/// A file of a container's root filesystem before it is mounted: looked up in the layers of an overlay (or
/// the folder of a bind) as the kernel would merge them. `path` is relative ("etc/passwd"). Symbolic links
/// are followed within one layer only. An empty text when there is no such file; NotImplemented for other
/// kinds of mounts.
Result<std::string> read_rootfs_file(const std::vector<ctrd::Mount>& mounts, const std::string& path);

/// A file below `root` (as "/proc/1/root"), links not leaving it. An empty text when there is none.
Result<std::string> read_file_below(const std::string& root, const std::string& path);

}  // namespace pouch::container
