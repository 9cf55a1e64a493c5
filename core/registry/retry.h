#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/clock.h"

namespace pouch::registry {

/// How long a Retry-After header (seconds, or an HTTP date, RFC 9110 section 10.2.3) wants us to wait, in ms;
/// nullopt when it says nothing. At most a day.
std::optional<int64_t> retry_after_ms(std::string_view header, Timestamp now);
/// Nobody wants to wait longer than this; in ms.
constexpr int64_t kLongestRetryAfterMs = 120'000;
/// The pause before attempt 2, 3, …: 200 ms doubled each time up to 5 s, of which a random half is left out
/// so that many clients do not come back at once.
int64_t backoff_ms(int attempt);

}  // namespace pouch::registry
