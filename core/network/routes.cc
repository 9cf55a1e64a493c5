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

Status add_addresses(sys::Links& links, const sys::Link& link, const std::vector<std::string>& addresses) {
  const bool has_v6 = std::any_of(addresses.begin(), addresses.end(), [](const std::string& address) {
    return address.find(':') != std::string::npos;
  });
  if (has_v6) {
    const std::string settings = "ipv6/conf/" + link.name + "/";
    POUCH_RETURN_IF_ERROR(sys::set_net_setting(settings + "disable_ipv6", "0"));
    POUCH_RETURN_IF_ERROR(sys::set_net_setting(settings + "accept_ra", "0"));
  }
  for (const std::string& text : addresses) {
    POUCH_ASSIGN_OR_RETURN(const sys::IpNet address, sys::IpNet::parse(text));
    POUCH_RETURN_IF_ERROR(links.add_address(link.index, address));
  }
  return {};
}

// The whole of 169.254.0.0/16 is on a link, and so are the first 64 bits of fe80::/10.
std::vector<std::string> with_prefixes(std::vector<std::string> link_local) {
  for (std::string& address : link_local) {
    const bool is_v4 = address.find(':') == std::string::npos;
    if (address.find('/') == std::string::npos) address += is_v4 ? "/16" : "/64";
  }
  return link_local;
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
  std::vector<std::string> addresses = with_prefixes(leg.link_local);
  if (!leg.address.empty()) addresses.insert(addresses.begin(), leg.address);
  if (!leg.address6.empty()) addresses.push_back(leg.address6);
  POUCH_RETURN_IF_ERROR(add_addresses(links, link, addresses));
  for (const auto& [name, value] : leg.settings) {
    const std::string own = with_link(name, leg.link);
    POUCH_RETURN_IF_ERROR(sys::set_net_setting(own, value).prefix("set " + own));
  }
  POUCH_RETURN_IF_ERROR(links.set_up(link.index));
  return set_default_routes(links, leg);
}

Status add_link_local(const std::string& link, const std::vector<std::string>& link_local) {
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  POUCH_ASSIGN_OR_RETURN(const sys::Link found, links.find(link));
  return add_addresses(links, found, with_prefixes(link_local));
}

}  // namespace pouch::network
