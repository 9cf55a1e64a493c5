#include "core/base/clock.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdio>
#include <ctime>
#include <optional>

namespace pouch {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

int64_t read_clock(clockid_t id) {
  timespec ts{};
  ::clock_gettime(id, &ts);
  return int64_t{ts.tv_sec} * kNsPerSecond + ts.tv_nsec;
}

// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's days_from_civil, public domain
// maths).
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

// Takes exactly `digits` decimal digits off the front.
std::optional<int64_t> take_digits(std::string_view& text, size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int64_t value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take_char(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text[0]) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// ".5" is 500000000; digits beyond nine are dropped.
std::optional<int64_t> take_fraction(std::string_view& text) {
  if (text.empty() || text[0] != '.') return 0;
  text.remove_prefix(1);
  int64_t value = 0;
  int digits = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    if (digits < 9) value = value * 10 + (text[0] - '0');
    ++digits;
    text.remove_prefix(1);
  }
  if (digits == 0) return std::nullopt;
  for (; digits < 9; ++digits) value *= 10;
  return value;
}

// Seconds east of UTC: "Z" or "+hh:mm".
std::optional<int64_t> take_offset(std::string_view& text) {
  if (take_char(text, "Zz")) return 0;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const int64_t sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  const auto hours = take_digits(text, 2);
  if (!hours || !take_char(text, ":")) return std::nullopt;
  const auto minutes = take_digits(text, 2);
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60);
}

std::optional<int64_t> parse_rfc3339_ns(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take_char(text, "-")) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take_char(text, "-")) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !take_char(text, "Tt ")) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || !take_char(text, ":")) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || !take_char(text, ":")) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second || *month < 1 || *month > 12 || *day < 1 || *day > 31) return std::nullopt;
  if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const auto fraction = take_fraction(text);
  if (!fraction) return std::nullopt;
  const auto offset = take_offset(text);
  if (!offset || !text.empty()) return std::nullopt;
  if (*year == 1 && *month == 1 && *day == 1) return Timestamp::kZeroNs;
  if (*year < 1678 || *year > 2261) return std::nullopt;  // int64 nanoseconds end there
  const int64_t seconds =
      days_from_civil(*year, *month, *day) * 86400 + *hour * 3600 + *minute * 60 + *second;
  return (seconds - *offset) * kNsPerSecond + *fraction;
}

// ".5" for 500000000, "" for 0: Go's RFC3339Nano drops trailing zeros.
std::string fraction_text(int64_t ns) {
  if (ns == 0) return {};
  std::array<char, 16> buffer{};
  std::snprintf(buffer.data(), buffer.size(), ".%09d", static_cast<int>(ns));
  std::string text(buffer.data());
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

}  // namespace

int64_t boot_now_ns() {
  return read_clock(CLOCK_BOOTTIME);
}

Deadline Deadline::after_ms(int64_t ms) {
  if (ms < 0 || ms > INT64_MAX / 2'000'000) return {};
  return Deadline(boot_now_ns() + ms * 1'000'000);
}

int64_t Deadline::remaining_ns() const {
  if (is_never()) return INT64_MAX;
  return std::max<int64_t>(0, boot_ns_ - boot_now_ns());
}

int Deadline::poll_timeout_ms() const {
  if (is_never()) return -1;
  return static_cast<int>(std::min<int64_t>(INT_MAX, (remaining_ns() + 999'999) / 1'000'000));
}

Timestamp Timestamp::now() {
  return {read_clock(CLOCK_REALTIME)};
}

std::string Timestamp::to_rfc3339() const {
  if (is_zero()) return "0001-01-01T00:00:00Z";
  int64_t seconds = ns / kNsPerSecond;
  int64_t rest = ns % kNsPerSecond;
  if (rest < 0) {
    rest += kNsPerSecond;
    --seconds;
  }
  const time_t when = seconds;
  tm parts{};
  ::gmtime_r(&when, &parts);
  std::array<char, 40> buffer{};
  std::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return buffer.data() + fraction_text(rest) + "Z";
}

Result<Timestamp> Timestamp::parse_rfc3339(std::string_view text) {
  const auto ns = parse_rfc3339_ns(text);
  if (!ns) return invalid_argument("not an RFC 3339 time: \"" + std::string(text.substr(0, 64)) + "\"");
  return Timestamp{*ns};
}

std::string Timestamp::to_unix_decimal() const {
  if (is_zero()) return "0";
  const int64_t seconds = ns / kNsPerSecond;
  const int64_t rest = ns % kNsPerSecond;
  if (rest == 0) return std::to_string(seconds);
  std::array<char, 40> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%s%lld.%09lld", ns < 0 && seconds == 0 ? "-" : "",
                static_cast<long long>(seconds), static_cast<long long>(rest < 0 ? -rest : rest));
  return buffer.data();
}

Result<Timestamp> Timestamp::parse_unix_decimal(std::string_view text) {
  const Status bad = invalid_argument("not a Unix time (seconds[.nanoseconds]): \"" +
                                      std::string(text.substr(0, 64)) + "\"");
  const bool negative = !text.empty() && text[0] == '-';
  std::string_view rest = negative ? text.substr(1) : text;
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), seconds);
  if (error != std::errc() || seconds < 0 || seconds > 9'000'000'000) return bad;
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  const auto fraction = take_fraction(rest);
  if (!fraction || !rest.empty()) return bad;
  const int64_t ns = seconds * kNsPerSecond + *fraction;
  return Timestamp{negative ? -ns : ns};
}

}  // namespace pouch
