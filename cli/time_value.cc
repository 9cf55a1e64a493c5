#include "cli/time_value.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string_view>

namespace pouch::cli {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMaxSeconds =
    253'402'300'799;  // the end of the year 9999, the last that RFC 3339 can write

struct Unit {
  std::string_view name;
  int64_t nanoseconds;
};
// Longer names first where one begins another.
constexpr Unit kUnits[] = {{"ns", 1},           {"us", 1000},   {"µs", 1000},         {"ms", 1'000'000},
                           {"m", 60 * kSecond}, {"s", kSecond}, {"h", 3600 * kSecond}};

// Up to nine decimals as nanoseconds; nothing when there is anything but digits.
std::optional<int64_t> nanoseconds_of(std::string_view digits) {
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  int64_t value = 0;
  for (size_t i = 0; i < 9; ++i) value = value * 10 + (i < digits.size() ? digits[i] - '0' : 0);
  return value;
}

std::string rfc3339(int64_t seconds, int64_t nanoseconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm fields{};
  ::gmtime_r(&time, &fields);
  char text[64];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &fields);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%09lldZ", static_cast<long long>(nanoseconds));
  return std::string(text, size) + fraction;
}

std::optional<std::string> of_seconds(const std::string& text) {
  const size_t dot = text.find('.');
  int64_t seconds = 0;
  const std::string whole = text.substr(0, dot);
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
  if (error != std::errc() || end != whole.data() + whole.size()) return std::nullopt;
  if (seconds < 0 || seconds > kMaxSeconds) return std::nullopt;
  if (dot == std::string::npos) return rfc3339(seconds, 0);
  const std::optional<int64_t> fraction = nanoseconds_of(std::string_view(text).substr(dot + 1));
  if (!fraction) return std::nullopt;
  return rfc3339(seconds, *fraction);
}

// "Z", "+02:00" at the end of `text`, which is cut off; seconds east of UTC.
std::optional<int64_t> cut_zone(std::string& text) {
  if (text.ends_with("Z")) {
    text.pop_back();
    return 0;
  }
  if (text.size() < 16) return std::nullopt;
  const std::string tail = text.substr(text.size() - 6);
  int hours = 0;
  int minutes = 0;
  char end = 0;
  if ((tail[0] != '+' && tail[0] != '-') ||
      std::sscanf(tail.c_str() + 1, "%2d:%2d%c", &hours, &minutes, &end) != 2) {
    return std::nullopt;
  }
  text.resize(text.size() - 6);
  return (tail[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

struct Moment {
  int64_t seconds;  // since 1970
  int64_t nanoseconds;
};

std::optional<Moment> of_date(std::string text) {
  const std::optional<int64_t> zone = cut_zone(text);
  int64_t fraction = 0;
  if (const size_t dot = text.find('.'); dot != std::string::npos) {
    const std::optional<int64_t> parsed = nanoseconds_of(std::string_view(text).substr(dot + 1));
    if (!parsed) return std::nullopt;
    fraction = *parsed;
    text.resize(dot);
  }
  for (const char* format : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"}) {
    std::tm fields{};
    fields.tm_isdst = -1;
    const char* const end = ::strptime(text.c_str(), format, &fields);
    if (end == nullptr || *end != '\0') continue;
    const int64_t seconds = zone ? ::timegm(&fields) - *zone : ::mktime(&fields);
    return Moment{seconds, fraction};
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> parse_duration(const std::string& text) {
  std::string_view rest = text;
  const bool negative = rest.starts_with("-");
  if (negative || rest.starts_with("+")) rest.remove_prefix(1);
  if (rest == "0") return 0;
  if (rest.empty()) return std::nullopt;
  double total = 0;
  while (!rest.empty()) {
    const size_t digits = rest.find_first_not_of("0123456789.");
    if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + digits, number);
    if (error != std::errc() || end != rest.data() + digits) return std::nullopt;
    rest.remove_prefix(digits);
    const Unit* unit = nullptr;
    for (const Unit& candidate : kUnits) {
      if (unit == nullptr && rest.starts_with(candidate.name)) unit = &candidate;
    }
    if (unit == nullptr) return std::nullopt;
    total += number * static_cast<double>(unit->nanoseconds);
    rest.remove_prefix(unit->name.size());
  }
  if (total > 9.0e18) return std::nullopt;
  return static_cast<int64_t>(negative ? -total : total);
}

std::optional<std::string> parse_time(const std::string& text, int64_t now_ns) {
  if (const std::optional<int64_t> span = parse_duration(text); span && text != "0") {
    const int64_t at = now_ns - *span;
    if (at < 0) return rfc3339(0, 0);
    return rfc3339(at / kSecond, at % kSecond);
  }
  if (std::optional<std::string> seconds = of_seconds(text)) return seconds;
  const std::optional<Moment> moment = of_date(text);
  return moment ? std::optional(rfc3339(moment->seconds, moment->nanoseconds)) : std::nullopt;
}

std::optional<int64_t> unix_seconds(const std::string& text) {
  const std::optional<Moment> moment = of_date(text);
  return moment ? std::optional(moment->seconds) : std::nullopt;
}

int64_t wall_clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace pouch::cli
