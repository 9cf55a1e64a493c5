#include <charconv>

#include "core/base/text.h"
#include "daemon/bridge/bridge.h"

namespace pouch::bridge {

std::string version_text(int minor) {
  return "1." + std::to_string(minor);
}

Result<int> check_version(std::string_view version) {
  int major = 0;
  int minor = 0;
  const char* end = version.data() + version.size();
  const auto [dot, major_error] = std::from_chars(version.data(), end, major);
  const bool has_dot = major_error == std::errc() && dot != end && *dot == '.';
  if (!has_dot) return invalid_argument("invalid API version " + quote(version));
  const auto [at, minor_error] = std::from_chars(dot + 1, end, minor);
  if (minor_error != std::errc() || at != end)
    return invalid_argument("invalid API version " + quote(version));
  const std::string text(version);
  if (major > 1 || (major == 1 && minor > kMaxMinor)) {
    return invalid_argument("client version " + text + " is too new. Maximum supported API version is " +
                            version_text(kMaxMinor));
  }
  if (major < 1 || minor < kMinMinor) {
    return invalid_argument("client version " + text + " is too old. Minimum supported API version is " +
                            version_text(kMinMinor) + ", please upgrade your client to a newer version");
  }
  return minor;
}

}  // namespace pouch::bridge
