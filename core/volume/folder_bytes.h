#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"

namespace pouch::volume {

/// Bytes of all files in the folder, each counted once however many names it has; links are not followed.
/// What goes away meanwhile does not count.
Result<int64_t> folder_bytes(const std::string& path);

}  // namespace pouch::volume
