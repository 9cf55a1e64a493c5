#include "cli/format/human.h"

#include <array>
#include <cstdio>
#include <ctime>

#include "cli/console.h"

namespace pouch::cli {
namespace {

constexpr size_t kShortId = 12;
constexpr int64_t kMinute = 60;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kSecond = 1'000'000'000;  // in nanoseconds

template <size_t N>
std::string scaled(double bytes, double base, int digits, const std::array<const char*, N>& units) {
  size_t unit = 0;
  while (bytes >= base && unit + 1 < N) {
    bytes /= base;
    ++unit;
  }
  char text[64];
  std::snprintf(text, sizeof text, "%.*g%s", digits, bytes, units[unit]);
  return text;
}

std::string count_of(int64_t number, const char* unit) {
  return std::to_string(number) + " " + unit;
}

std::tm local(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm fields{};
  ::localtime_r(&time, &fields);
  return fields;
}

std::string offset(const std::tm& fields) {
  char text[16];
  return {text, std::strftime(text, sizeof text, "%z", &fields)};
}

// "Z" or "+02:00".
std::string zone(const std::tm& fields) {
  if (fields.tm_gmtoff == 0) return "Z";
  const std::string text = offset(fields);
  return text.substr(0, 3) + ":" + text.substr(3);
}

}  // namespace

std::string human_size(double bytes, int digits) {
  constexpr std::array<const char*, 9> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  return scaled(bytes, 1000.0, digits, kUnits);
}

std::string human_bytes(double bytes) {
  constexpr std::array<const char*, 9> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  return scaled(bytes, 1024.0, 4, kUnits);
}

std::string human_duration(int64_t seconds) {
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < kMinute) return count_of(seconds, "seconds");
  if (seconds < 2 * kMinute) return "About a minute";
  if (seconds < kHour) return count_of(seconds / kMinute, "minutes");
  const int64_t hours = (seconds + kHour / 2) / kHour;
  if (hours == 1) return "About an hour";
  if (hours < 48) return count_of(hours, "hours");
  if (hours < 24 * 7 * 2) return count_of(hours / 24, "days");
  if (hours < 24 * 30 * 2) return count_of(hours / 24 / 7, "weeks");
  if (hours < 24 * 365 * 2) return count_of(hours / 24 / 30, "months");
  return count_of(seconds / kDay / 365, "years");
}

std::string local_time(int64_t unix_seconds) {
  const std::tm fields = local(unix_seconds);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &fields)};
}

std::string local_time_rfc3339(int64_t unix_seconds) {
  const std::tm fields = local(unix_seconds);
  char text[64];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &fields)) + zone(fields);
}

std::string local_time_nano(int64_t unix_nanos) {
  const std::tm fields = local(unix_nanos / kSecond);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%09lld", static_cast<long long>(unix_nanos % kSecond));
  char text[64];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &fields);
  return std::string(text, size) + fraction + zone(fields);
}

std::string ellipsis(const std::string& text, size_t width) {
  size_t characters = 0;
  size_t cut = 0;  // where the last character that may stay ends
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0u) == 0x80u) continue;
    if (characters + 1 == width) cut = i;
    ++characters;
  }
  if (characters <= width) return text;
  return text.substr(0, cut) + "…";
}

std::string quoted(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    if (c == '\n' || c == '\t' || c == '\r') {
      escaped += c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r";
    } else {
      escaped += c;
    }
  }
  return "\"" + sanitised(escaped) + "\"";
}

std::string short_id(const std::string& id) {
  const size_t colon = id.find(':');
  return id.substr(colon == std::string::npos ? 0 : colon + 1, kShortId);
}

}  // namespace pouch::cli
