#include "cli/flag_values.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "cli/api.h"
#include "cli/options.h"
#include "cli/time_value.h"

namespace pouch::cli {
namespace {

constexpr std::string_view kUnits = "kmgtp";
constexpr int64_t kNanosPerCpu = 1'000'000'000;
constexpr const char* kUlimits[] = {"core",    "cpu",      "data",   "fsize",      "locks",
                                    "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                    "rss",     "rtprio",   "rttime", "sigpending", "stack"};

uint64_t parse_number(const std::string& text, const std::string& problem) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) throw BadValue(problem);
  return number;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t at = 0;
  while (true) {
    const size_t end = text.find(separator, at);
    parts.push_back(text.substr(at, end - at));
    if (end == std::string::npos) return parts;
    at = end + 1;
  }
}

bool is_permissions(const std::string& text) {
  return !text.empty() && text.size() <= 3 && text.find_first_not_of("rwm") == std::string::npos;
}

// The device and the rest behind the colon, of --device-read-bps and its like.
std::pair<std::string, std::string> split_device(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
    throw BadValue("bad format: " + text);
  if (!text.starts_with("/dev/")) throw BadValue("bad format for device path: " + text);
  return {text.substr(0, colon), text.substr(colon + 1)};
}

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Exit(kExitUsage, "open " + path + ": " + std::strerror(errno));
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

int64_t parse_bytes(const std::string& text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  if (digits == 0 || error != std::errc() || end != text.data() + digits) {
    throw BadValue("invalid size: '" + text + "'");
  }
  std::string unit = text.substr(digits);
  if (unit.starts_with(" ")) unit.erase(0, 1);
  for (char& c : unit) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  double factor = 1;
  if (!unit.empty() && unit != "b") {
    const size_t power = kUnits.find(unit[0]);
    const std::string tail = unit.substr(1);
    if (power == std::string_view::npos || (!tail.empty() && tail != "b" && tail != "ib")) {
      throw BadValue("invalid suffix: '" + text.substr(digits) + "'");
    }
    factor = std::ldexp(1.0, static_cast<int>(10 * (power + 1)));
  }
  if (number * factor > 9.2e18) throw BadValue("value out of range");
  return static_cast<int64_t>(number * factor);
}

int64_t parse_bytes_or_unlimited(const std::string& text) {
  return text == "-1" ? -1 : parse_bytes(text);
}

int64_t parse_cpus(const std::string& text) {
  const size_t dot = text.find('.');
  std::string decimals = dot == std::string::npos ? "" : text.substr(dot + 1);
  while (decimals.ends_with("0")) decimals.pop_back();
  const std::string problem = "failed to parse " + text + " as a rational number";
  if (decimals.size() > 9) throw BadValue("value is too precise");
  const uint64_t whole = text.starts_with(".") ? 0 : parse_number(text.substr(0, dot), problem);
  if (whole > 1'000'000) throw BadValue("value out of range");
  decimals.resize(9, '0');
  return static_cast<int64_t>(whole) * kNanosPerCpu + static_cast<int64_t>(parse_number(decimals, problem));
}

int64_t parse_span(const std::string& text) {
  const std::optional<int64_t> span = parse_duration(text);
  if (!span) throw BadValue("invalid duration \"" + text + "\"");
  if (*span < 0) throw BadValue("duration cannot be negative");
  return *span;
}

Json::Value parse_ulimit(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) throw BadValue("invalid ulimit argument: " + text);
  const std::string name = text.substr(0, equals);
  bool known = false;
  for (const char* ulimit : kUlimits) known = known || name == ulimit;
  if (!known) throw BadValue("invalid ulimit type: " + name);
  const std::vector<std::string> limits = split(text.substr(equals + 1), ':');
  if (limits.size() > 2)
    throw BadValue("too many limit value arguments - " + text + ", can only have up to two");
  Json::Value out;
  out["Name"] = name;
  out["Soft"] = Json::Int64(parse_integer(limits.front()));
  out["Hard"] = Json::Int64(parse_integer(limits.back()));
  if (out["Hard"].asInt64() != -1 && (out["Soft"].asInt64() == -1 || out["Soft"] > out["Hard"])) {
    throw BadValue("ulimit soft limit must be less than or equal to hard limit: " + limits.front() + " > " +
                   limits.back());
  }
  return out;
}

Json::Value parse_device(const std::string& text) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() > 3 || parts[0].empty()) throw BadValue("bad format for path: " + text);
  Json::Value out;
  out["PathOnHost"] = parts[0];
  out["PathInContainer"] = parts[0];
  out["CgroupPermissions"] = "rwm";
  if (parts.size() == 2 && is_permissions(parts[1])) {
    out["CgroupPermissions"] = parts[1];
  } else if (parts.size() > 1) {
    out["PathInContainer"] = parts[1];
  }
  if (parts.size() == 3) {
    if (!is_permissions(parts[2])) throw BadValue("bad mode specified: " + parts[2]);
    out["CgroupPermissions"] = parts[2];
  }
  return out;
}

Json::Value parse_weight_device(const std::string& text) {
  const auto [path, weight] = split_device(text);
  Json::Value out;
  out["Path"] = path;
  out["Weight"] = Json::UInt64(parse_number(weight, "invalid weight for device: " + text));
  return out;
}

Json::Value parse_throttle_device(const std::string& text, bool in_bytes) {
  const auto [path, rate] = split_device(text);
  Json::Value out;
  out["Path"] = path;
  out["Rate"] = in_bytes ? Json::UInt64(static_cast<uint64_t>(parse_bytes(rate)))
                         : Json::UInt64(parse_number(rate, "invalid rate for device: " + text));
  return out;
}

Json::Value parse_restart(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == 0) throw BadValue("invalid restart policy format: no policy provided before colon");
  Json::Value out;
  out["Name"] = text.substr(0, colon);
  if (colon != std::string::npos) {
    out["MaximumRetryCount"] = Json::Int64(parse_integer(text.substr(colon + 1)));
  }
  return out;
}

std::pair<std::string, std::string> parse_pair(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return {text, ""};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::string parse_env(const std::string& text) {
  const auto [name, value] = parse_pair(text);
  if (name.empty()) throw BadValue("invalid environment variable: " + text);
  if (text.find('=') != std::string::npos) return text;
  const char* const own = std::getenv(name.c_str());
  return own == nullptr ? name : name + "=" + own;
}

std::pair<std::string, std::string> parse_filter(const std::string& text) {
  if (text.find('=') == std::string::npos) throw BadValue("bad format of filter (expected name=value)");
  auto [name, value] = parse_pair(text);
  while (name.ends_with(" ")) name.pop_back();
  while (value.starts_with(" ")) value.erase(0, 1);
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return {name, value};
}

std::string parse_extra_host(const std::string& text) {
  const size_t separator = text.find_first_of("=:");
  if (separator == std::string::npos || separator == 0 || separator + 1 == text.size()) {
    throw BadValue("bad format for add-host: \"" + text + "\"");
  }
  std::string address = text.substr(separator + 1);
  if (address.starts_with("[") && address.ends_with("]")) address = address.substr(1, address.size() - 2);
  return text.substr(0, separator) + ":" + address;
}

std::string parse_security_opt(const std::string& text) {
  if (text == "no-new-privileges" || text == "writable-cgroups") return text;
  const size_t separator = text.find_first_of("=:");
  if (separator == std::string::npos) throw BadValue("Invalid --security-opt: \"" + text + "\"");
  const std::string name = text.substr(0, separator);
  const std::string value = text.substr(separator + 1);
  if (name != "seccomp" || value == "unconfined" || value == "builtin") return text;
  const std::string profile = file_text(value);
  try {
    return "seccomp=" + to_text(to_json(profile));
  } catch (const Exit& error) {
    throw BadValue("seccomp profile " + value + " is not JSON");
  }
}

std::string parse_platform(const std::string& text) {
  const std::vector<std::string> parts = split(text, '/');
  if (parts.size() < 2 || parts.size() > 3) throw BadValue("expected os/architecture[/variant]");
  Json::Value platform;
  platform["os"] = parts[0];
  platform["architecture"] = parts[1];
  if (parts.size() == 3) platform["variant"] = parts[2];
  return to_text(platform);
}

std::vector<std::string> read_lines(const std::string& path, bool is_env) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Exit(kExitUsage, "open " + path + ": " + std::strerror(errno));
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(file, line)) {
    if (line.ends_with("\r")) line.pop_back();
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line[begin] == '#') continue;
    line.erase(0, begin);
    const std::string name = line.substr(0, line.find('='));
    if (name.empty()) throw Exit(kExitUsage, path + ": no variable name on line '" + line + "'");
    if (name.find_first_of(" \t") != std::string::npos) {
      throw Exit(kExitUsage, path + ": variable '" + name + "' contains whitespaces");
    }
    if (!is_env || name.size() != line.size()) {
      lines.push_back(line);
    } else if (const char* own = std::getenv(name.c_str())) {
      lines.push_back(name + "=" + own);  // a name alone: its value here, if it has one
    }
  }
  return lines;
}

}  // namespace pouch::cli
