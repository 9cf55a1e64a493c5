#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace pouch::container {

/// [a-zA-Z0-9][a-zA-Z0-9_.-]+, at most 255 bytes. InvalidArgument with Moby's text else, which tells the name
/// as `shown` unless that is empty.
Status check_name(std::string_view name, std::string_view shown = {});
/// Without one leading slash.
std::string_view strip_slash(std::string_view name);

/// "adjective_surname", as people know it from Docker; with a digit behind when `attempt` > 0 (the plain one
/// was taken). Random, from the system's generator.
std::string random_name(int attempt);

}  // namespace pouch::container
