#include "core/network/options.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/sys/ip_net.h"

namespace pouch::network {
namespace {

constexpr size_t kMaxLinkName = 15;    // IFNAMSIZ without its NUL
constexpr size_t kMaxLinkPrefix = 12;  // a number follows
constexpr int kMaxMtu = 65535;

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

Status read_mode(const std::string& name, const std::string& value, GatewayMode& out) {
  constexpr std::array<std::pair<std::string_view, GatewayMode>, 5> kModes{
      {{"", GatewayMode::kNat},
       {"nat", GatewayMode::kNat},
       {"nat-unprotected", GatewayMode::kNatUnprotected},
       {"routed", GatewayMode::kRouted},
       {"isolated", GatewayMode::kIsolated}}};
  const auto* const found =
      std::find_if(kModes.begin(), kModes.end(), [&value](const auto& mode) { return mode.first == value; });
  if (found == kModes.end()) {
    return invalid_argument("failed to parse " + name + " value: " + value + " (unknown gateway mode " +
                            value + ")");
  }
  out = found->second;
  return {};
}

// "eth0:wg0"
Status read_links(const std::string& name, const std::string& value, std::vector<std::string>& out) {
  for (const std::string& link : split(value, ':')) {
    if (link.empty()) continue;
    if (!is_link_name(link, kMaxLinkName)) return bad_value(name, value);
    out.push_back(link);
  }
  return {};
}

Status read_address(const std::string& name, const std::string& value, bool v4, std::string& out) {
  const auto address = sys::IpAddress::parse(value);
  out = value;
  return address.is_ok() && address->is_v4() == v4 ? Status() : bad_value(name, value);
}

// Of who reaches the containers, and under which addresses they leave.
Status read_way_option(const std::string& name, const std::string& value, BridgeOptions& out) {
  if (name == "com.docker.network.bridge.gateway_mode_ipv4") return read_mode(name, value, out.mode4);
  if (name == "com.docker.network.bridge.gateway_mode_ipv6") return read_mode(name, value, out.mode6);
  if (name == "com.docker.network.bridge.trusted_host_interfaces") {
    return read_links(name, value, out.trusted);
  }
  if (name == "com.docker.network.bridge.host_binding_ipv4") {
    return read_address(name, value, true, out.host_binding);
  }
  if (name == "com.docker.network.host_ipv4") return read_address(name, value, true, out.source4);
  if (name == "com.docker.network.host_ipv6") return read_address(name, value, false, out.source6);
  return {};
}

Status read_option(const std::string& name, const std::string& value, BridgeOptions& out) {
  if (name == "com.docker.network.bridge.enable_icc") return read_bool(name, value, out.icc);
  if (name == "com.docker.network.bridge.enable_ip_masquerade") return read_bool(name, value, out.masquerade);
  if (name == "com.docker.network.bridge.inhibit_ipv4") return read_bool(name, value, out.inhibit_ipv4);
  if (name == "com.docker.network.bridge.name") {
    out.device = value;
    return is_link_name(value, kMaxLinkName) ? Status() : bad_value(name, value);
  }
  if (name == "com.docker.network.container_iface_prefix") {
    out.link_prefix = value;
    return is_link_name(value, kMaxLinkPrefix) ? Status() : bad_value(name, value);
  }
  if (name == "com.docker.network.driver.mtu") {
    const auto mtu = whole_number<decltype(out.mtu)>(value);
    if (!mtu) return bad_value(name, value, "Atoi");
    out.mtu = *mtu;
    const bool good = out.mtu >= 0 && out.mtu <= kMaxMtu;
    return good ? Status() : invalid_argument("invalid MTU number: " + value);
  }
  return read_way_option(name, value, out);
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
