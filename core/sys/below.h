#pragma once

#include <string>

#include "core/base/unique_fd.h"

namespace pouch::sys {

/// openat2(2) of `path` as if `root` (a folder's descriptor) were the root folder: no link and no ".." leaves
/// it, and no magic link is followed. "" is the folder itself. O_CLOEXEC is added. Invalid, with errno set,
/// when it fails.
UniqueFd open_below(int root, const std::string& path, int flags);

}  // namespace pouch::sys
