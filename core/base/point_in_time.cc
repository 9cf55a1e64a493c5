#include "core/base/point_in_time.h"

#include <string>

#include "core/base/go_duration.h"
#include "core/base/text.h"

namespace pouch {

Result<Timestamp> parse_point_in_time(std::string_view text, Timestamp now) {
  if (const auto duration = parse_go_duration(text); duration) return Timestamp{now.ns - *duration};
  if (auto unix = Timestamp::parse_unix_decimal(text); unix.is_ok()) return unix;
  if (auto full = Timestamp::parse_rfc3339(text); full.is_ok()) return full;
  if (auto local = Timestamp::parse_rfc3339(std::string(text) + "Z"); local.is_ok()) return local;
  if (auto date = Timestamp::parse_rfc3339(std::string(text) + "T00:00:00Z"); date.is_ok()) return date;
  return invalid_argument(quote(text) + " is no time: seconds since 1970, RFC 3339 or a duration like 24h");
}

}  // namespace pouch
