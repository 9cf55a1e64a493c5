#include "core/network/routes.h"

#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/sys/ip_net.h"
#include "core/sys/net_namespace.h"

namespace pouch::network {
namespace {

Status set_one(sys::Links& links, int link, const std::string& gateway, int family) {
  if (gateway.empty()) return links.set_default_route_on_link(link, family);
  POUCH_ASSIGN_OR_RETURN(const sys::IpAddress address, sys::IpAddress::parse(gateway));
  return links.set_default_route(link, address);
}

// "ipv4/conf/IFNAME/…" of a link.
std::string with_link(std::string name, const std::string& link) {
  constexpr std::string_view kOpen = "IFNAME";
  const size_t at = name.find(kOpen);
  return at == std::string::npos ? name : name.replace(at, kOpen.size(), link);
}

}  // namespace

Status set_default_routes(sys::Links& links, const NetworkLeg& leg) {
  if (!leg.is_default4 && !leg.is_default6) return {};
  POUCH_ASSIGN_OR_RETURN(const sys::Link link, links.find(leg.link));
  if (leg.is_default4) POUCH_RETURN_IF_ERROR(set_one(links, link.index, leg.gateway, AF_INET));
  return leg.is_default6 ? set_one(links, link.index, leg.gateway6, AF_INET6) : Status();
}

Status configure_link(const NetworkLeg& leg) {
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  POUCH_ASSIGN_OR_RETURN(const sys::Link link, links.find(leg.link));
  std::vector<std::string> addresses = leg.link_local;
  for (std::string& address : addresses) {
    if (address.find('/') == std::string::npos)
      address += address.find(':') == std::string::npos ? "/16" : "/64";
  }
  if (!leg.address.empty()) addresses.insert(addresses.begin(), leg.address);
  if (!leg.address6.empty()) addresses.push_back(leg.address6);
  const bool has_v6 = std::any_of(addresses.begin(), addresses.end(), [](const std::string& address) {
    return address.find(':') != std::string::npos;
  });
  if (has_v6) {
    const std::string settings = "ipv6/conf/" + leg.link + "/";
    POUCH_RETURN_IF_ERROR(sys::set_net_setting(settings + "disable_ipv6", "0"));
    POUCH_RETURN_IF_ERROR(sys::set_net_setting(settings + "accept_ra", "0"));
  }
  for (const std::string& text : addresses) {
    POUCH_ASSIGN_OR_RETURN(const sys::IpNet address, sys::IpNet::parse(text));
    POUCH_RETURN_IF_ERROR(links.add_address(link.index, address));
  }
  for (const auto& [name, value] : leg.settings) {
    const std::string own = with_link(name, leg.link);
    POUCH_RETURN_IF_ERROR(sys::set_net_setting(own, value).prefix("set " + own));
  }
  POUCH_RETURN_IF_ERROR(links.set_up(link.index));
  return set_default_routes(links, leg);
}

}  // namespace pouch::network
