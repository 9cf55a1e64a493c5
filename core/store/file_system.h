#pragma once

#include <string>

#include "core/base/status.h"

namespace pouch::store {

/// InvalidArgument when SQLite's locks or shared memory are not safe on the file system that `fd` is on.
/// `path` is what would lie there, for the message.
Status check_file_system(int fd, const std::string& path);

}  // namespace pouch::store
