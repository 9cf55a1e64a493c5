#pragma once

#include <string_view>

#include "core/base/clock.h"
#include "core/base/status.h"

namespace pouch {

/// A point in time as Docker's clients write it: seconds since 1970, RFC 3339, a date, or a duration such as
/// "24h" or "1h30m" before `now`. InvalidArgument else.
Result<Timestamp> parse_point_in_time(std::string_view text, Timestamp now);

}  // namespace pouch
