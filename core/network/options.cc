#include "core/network/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "core/base/text.h"
#include "core/sys/ip_net.h"

namespace pouch::network {
namespace {

constexpr size_t kMaxLinkName = 15;    // IFNAMSIZ without its NUL
constexpr size_t kMaxLinkPrefix = 12;  // a number follows
constexpr int kMaxMtu = 65535;

// Without effect would be a lie about them.
constexpr std::array kUnsupported = {"com.docker.network.bridge.gateway_mode_ipv4",
                                     "com.docker.network.bridge.gateway_mode_ipv6",
                                     "com.docker.network.bridge.trusted_host_interfaces",
                                     "com.docker.network.host_ipv4", "com.docker.network.host_ipv6"};

// `parser`: Go's, whose words Moby passes on.
Status bad_value(const std::string& name, const std::string& value, const char* parser = nullptr) {
  const std::string begin = "failed to parse " + name + " value: ";
  if (parser == nullptr) return invalid_argument(begin + quote(value));
  return invalid_argument(begin + value + " (strconv." + parser + ": parsing " + quote(value) +
                          ": invalid syntax)");
}

// As Go's strconv.ParseBool.
Status read_bool(const std::string& name, const std::string& value, bool& out) {
  constexpr std::array<std::string_view, 6> kTrue{"1", "t", "T", "true", "TRUE", "True"};
  constexpr std::array<std::string_view, 6> kFalse{"0", "f", "F", "false", "FALSE", "False"};
  const bool is_true = std::find(kTrue.begin(), kTrue.end(), value) != kTrue.end();
  if (!is_true && std::find(kFalse.begin(), kFalse.end(), value) == kFalse.end()) {
    return bad_value(name, value, "ParseBool");
  }
  out = is_true;
  return {};
}

bool is_link_name(const std::string& name, size_t limit) {
  const bool plain = std::all_of(name.begin(), name.end(),
                                 [](char c) { return c > ' ' && c < 127 && c != '/' && c != ':'; });
  return !name.empty() && name.size() <= limit && plain && name != "." && name != "..";
}

Status read_option(const std::string& name, const std::string& value, BridgeOptions& out) {
  if (name == "com.docker.network.bridge.enable_icc") return read_bool(name, value, out.icc);
  if (name == "com.docker.network.bridge.enable_ip_masquerade") return read_bool(name, value, out.masquerade);
  if (name == "com.docker.network.bridge.inhibit_ipv4") return read_bool(name, value, out.inhibit_ipv4);
  if (name == "com.docker.network.bridge.name") {
    out.device = value;
    return is_link_name(value, kMaxLinkName) ? Status() : bad_value(name, value);
  }
  if (name == "com.docker.network.bridge.host_binding_ipv4") {
    const auto address = sys::IpAddress::parse(value);
    out.host_binding = value;
    return address.is_ok() && address->is_v4() ? Status() : bad_value(name, value);
  }
  if (name == "com.docker.network.container_iface_prefix") {
    out.link_prefix = value;
    return is_link_name(value, kMaxLinkPrefix) ? Status() : bad_value(name, value);
  }
  if (name == "com.docker.network.driver.mtu") {
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out.mtu);
    if (error != std::errc() || end != value.data() + value.size()) return bad_value(name, value, "Atoi");
    const bool good = out.mtu >= 0 && out.mtu <= kMaxMtu;
    return good ? Status() : invalid_argument("invalid MTU number: " + value);
  }
  if (std::find(kUnsupported.begin(), kUnsupported.end(), name) != kUnsupported.end() && !value.empty()) {
    return not_implemented("Options " + name + " is not supported yet");
  }
  return {};
}

}  // namespace

bool is_link_name(const std::string& name) {
  return is_link_name(name, kMaxLinkName);
}

Result<BridgeOptions> bridge_options(const Texts& options) {
  BridgeOptions out;
  for (const auto& [name, value] : options) POUCH_RETURN_IF_ERROR(read_option(name, value, out));
  return out;
}

}  // namespace pouch::network
