#pragma once

#include <cstdint>
#include <string>

namespace pouch::cli {

/// A number of bytes as Docker shows it, powers of 1000 and three digits: "1.98MB", "0B".
std::string human_size(double bytes, int digits = 3);
/// The same in powers of 1024 and four digits: "23.54GiB".
std::string human_bytes(double bytes);
/// A time span as Docker shows it: "3 seconds", "About a minute", "2 weeks".
std::string human_duration(int64_t seconds);
/// A time as Go shows it, in the zone of the user: "2024-01-01 00:00:00 +0000 UTC".
std::string local_time(int64_t unix_seconds);
/// The same in RFC 3339: "2024-01-01T00:00:00Z".
std::string local_time_rfc3339(int64_t unix_seconds);
/// RFC 3339 in the zone of the user with nine decimals: "2024-01-01T00:00:00.000000000Z".
std::string local_time_nano(int64_t unix_nanos);
/// At most `width` columns, the last one being "…" when something is left out. Counts characters.
std::string ellipsis(const std::string& text, size_t width);
/// In double quotes, with escapes for what is not printable.
std::string quoted(const std::string& text);
/// "sha256:0123456789abcdef…" and "0123456789abcdef…" to their first twelve digits.
std::string short_id(const std::string& id);

}  // namespace pouch::cli
