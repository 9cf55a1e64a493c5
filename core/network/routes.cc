#include "core/network/routes.h"

#include <sys/socket.h>

#include "core/sys/ip_net.h"

namespace pouch::network {
namespace {

Status set_one(sys::Links& links, int link, const std::string& gateway, int family) {
  if (gateway.empty()) return links.set_default_route_on_link(link, family);
  POUCH_ASSIGN_OR_RETURN(const sys::IpAddress address, sys::IpAddress::parse(gateway));
  return links.set_default_route(link, address);
}

}  // namespace

Status set_default_routes(sys::Links& links, const NetworkLeg& leg) {
  if (!leg.is_default4 && !leg.is_default6) return {};
  POUCH_ASSIGN_OR_RETURN(const sys::Link link, links.find(leg.link));
  if (leg.is_default4) POUCH_RETURN_IF_ERROR(set_one(links, link.index, leg.gateway, AF_INET));
  return leg.is_default6 ? set_one(links, link.index, leg.gateway6, AF_INET6) : Status();
}

}  // namespace pouch::network
