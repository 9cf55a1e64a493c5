#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace pouch::cli {

/// A span of time as Go writes it, "1h30m", "10s", "1.5h", "100ms", in nanoseconds. Nothing when it is none.
std::optional<int64_t> parse_duration(const std::string& text);

/// The value of --since and --until as RFC 3339 in UTC with nanoseconds. Takes RFC 3339 and its beginnings
/// ("2024-01-01", "2024-01-01T10:00", in the user's zone when they name none), seconds since 1970 with up to
/// nine decimals, and spans of time before `now_ns` (nanoseconds since 1970). Nothing for anything else.
std::optional<std::string> parse_time(const std::string& text, int64_t now_ns);

/// Seconds since 1970 of a time in RFC 3339, or of its beginnings as above. Nothing for anything else.
std::optional<int64_t> unix_seconds(const std::string& text);

/// The wall clock, nanoseconds since 1970.
int64_t wall_clock_ns();

}  // namespace pouch::cli
