#pragma once

#include <string>

#include "core/base/status.h"

namespace pouch::registry {

/// The file's text; empty where there is no such file.
Result<std::string> read_text_file(const std::string& path);

}  // namespace pouch::registry
