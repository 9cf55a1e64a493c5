#include "core/network/endpoint_options.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/network/options.h"

namespace pouch::network {
namespace {

constexpr const char* kLinkOption = "com.docker.network.endpoint.ifname";
constexpr const char* kSettingsOption = "com.docker.network.endpoint.sysctls";
constexpr const char* kThisLink = "IFNAME";
constexpr const char* kThisLinkLowered = "ifname";  // what the docker CLI's --network makes of it
constexpr size_t kParts = 5;                        // net.ipv4.conf.IFNAME.log_martians

// Of this link alone: what is every container's is HostConfig.Sysctls.
Status read_setting(const std::string& text, sys::NetSettings& out) {
  const size_t equals = text.find('=');
  const std::vector<std::string> parts = split(text.substr(0, equals), '.');
  const bool is_plain = std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
    return !part.empty() && part.find('/') == std::string::npos;
  });
  const bool good = equals != std::string::npos && parts.size() == kParts && is_plain && parts[0] == "net" &&
                    to_lower(parts[3]) == kThisLinkLowered;
  if (!good) {
    return invalid_argument("unable to parse sysctl " + quote(text) +
                            ": it must be of the form 'net.X.Y.IFNAME.Z=V'");
  }
  out.emplace_back(parts[1] + "/" + parts[2] + "/" + kThisLink + "/" + parts[4], text.substr(equals + 1));
  return {};
}

}  // namespace

Result<EndpointOptions> endpoint_options(const api::EndpointSettings& asked) {
  EndpointOptions out;
  for (const auto& [name, value] : asked.driver_opts.value_or(std::map<std::string, std::string>{})) {
    if (name == kLinkOption) {
      if (!is_link_name(value)) return invalid_argument("invalid interface name " + quote(value));
      out.link = value;
    } else if (name == kSettingsOption) {
      for (const std::string& each : split(value, ',')) {
        POUCH_RETURN_IF_ERROR(read_setting(std::string(trim(each)), out.settings));
      }
    } else {
      return not_implemented("DriverOpts " + name + " of an endpoint is not supported");
    }
  }
  return out;
}

}  // namespace pouch::network
