#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"

namespace pouch::container {

/// "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3": its number on this machine. InvalidArgument with Moby's
/// text else (also for 0).
Result<int> parse_signal(std::string_view text);

}  // namespace pouch::container
