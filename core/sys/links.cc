#include "core/sys/links.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <algorithm>
#include <cstring>

#include "core/base/text.h"

namespace pouch::sys {
namespace {

IpAddress address_of(const nlattr* attr) {
  return IpAddress::from_bytes(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
}

std::string text_of(const nlattr* attr) {
  const auto* text = static_cast<const char*>(mnl_attr_get_payload(attr));
  return {text, ::strnlen(text, mnl_attr_get_payload_len(attr))};
}

std::string kind_of(const nlattr* info) {
  std::string kind;
  each_nested(info, [&](const nlattr* attr) {
    if (mnl_attr_get_type(attr) == IFLA_INFO_KIND) kind = text_of(attr);
  });
  return kind;
}

Link parse_link(const nlmsghdr* message) {
  const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  Link link;
  link.index = info->ifi_index;
  link.is_up = (info->ifi_flags & IFF_UP) != 0;
  link.is_loopback = (info->ifi_flags & IFF_LOOPBACK) != 0;
  each_attribute(message, sizeof(ifinfomsg), [&](const nlattr* attr) {
    switch (mnl_attr_get_type(attr)) {
      case IFLA_IFNAME:
        link.name = text_of(attr);
        break;
      case IFLA_IFALIAS:
        link.alias = text_of(attr);
        break;
      case IFLA_MTU:
        link.mtu = static_cast<int>(mnl_attr_get_u32(attr));
        break;
      case IFLA_MASTER:
        link.master = static_cast<int>(mnl_attr_get_u32(attr));
        break;
      case IFLA_LINKINFO:
        link.kind = kind_of(attr);
        break;
      case IFLA_ADDRESS:
        std::memcpy(link.mac.data(), mnl_attr_get_payload(attr),
                    std::min<size_t>(link.mac.size(), mnl_attr_get_payload_len(attr)));
        break;
      default:
        break;
    }
  });
  return link;
}

LinkAddress parse_address(const nlmsghdr* message) {
  const auto* info = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(message));
  LinkAddress found;
  found.link = static_cast<int>(info->ifa_index);
  found.net.prefix = info->ifa_prefixlen;
  each_attribute(message, sizeof(ifaddrmsg), [&](const nlattr* attr) {
    const int type = mnl_attr_get_type(attr);
    // IFA_ADDRESS is the peer of a point-to-point link, and the only one for IPv6.
    const bool wanted = type == IFA_LOCAL || (type == IFA_ADDRESS && !found.net.address.is_valid());
    if (wanted) found.net.address = address_of(attr);
  });
  return found;
}

Route parse_route(const nlmsghdr* message) {
  const auto* info = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  static constexpr uint8_t kZero[16] = {};
  Route route;
  route.destination.address = IpAddress::from_bytes(kZero, info->rtm_family == AF_INET ? 4 : 16);
  route.destination.prefix = info->rtm_dst_len;
  each_attribute(message, sizeof(rtmsg), [&](const nlattr* attr) {
    if (mnl_attr_get_type(attr) == RTA_DST) route.destination.address = address_of(attr);
    if (mnl_attr_get_type(attr) == RTA_GATEWAY) route.gateway = address_of(attr);
    if (mnl_attr_get_type(attr) == RTA_OIF) route.link = static_cast<int>(mnl_attr_get_u32(attr));
  });
  return route;
}

// Routes that say nothing of who uses an address: multicast, broadcast and their like.
bool is_ordinary(const nlmsghdr* message) {
  const auto* info = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  const bool known = info->rtm_family == AF_INET || info->rtm_family == AF_INET6;
  return known && info->rtm_type != RTN_MULTICAST && info->rtm_type != RTN_BROADCAST;
}

// ESRCH, which is no code of its own.
bool is_no_route(const Status& status) {
  return !status.is_ok() && status.message().find("No such process") != std::string::npos;
}

constexpr uint16_t kCreate = NLM_F_CREATE | NLM_F_EXCL;

// EOPNOTSUPP, which means many things elsewhere.
Status told_kind(Status status) {
  if (status.message().find("Unknown device type") == std::string::npos) return status;
  return not_implemented(status.message());
}

const char* kind_name(SubLinkKind kind) {
  switch (kind) {
    case SubLinkKind::kMacvlan:
      return "macvlan";
    case SubLinkKind::kIpvlan:
      return "ipvlan";
    default:
      return "vlan";
  }
}

void put_sub_link_data(NetlinkMessage& message, const SubLinkSpec& spec) {
  const auto mode = static_cast<uint16_t>(spec.mode);
  if (spec.kind == SubLinkKind::kMacvlan) {
    message.put(IFLA_MACVLAN_MODE, spec.mode);
  } else if (spec.kind == SubLinkKind::kIpvlan) {
    message.put_bytes(IFLA_IPVLAN_MODE, &mode, sizeof mode);
    message.put_bytes(IFLA_IPVLAN_FLAGS, &spec.flags, sizeof spec.flags);
  } else {
    message.put_bytes(IFLA_VLAN_ID, &mode, sizeof mode);
  }
}

rtmsg& fill_default_route(NetlinkMessage& message, int family) {
  auto* info = message.header<rtmsg>();
  info->rtm_family = static_cast<uint8_t>(family);
  info->rtm_table = RT_TABLE_MAIN;
  info->rtm_protocol = RTPROT_BOOT;
  info->rtm_scope = RT_SCOPE_UNIVERSE;
  info->rtm_type = RTN_UNICAST;
  return *info;
}

}  // namespace

Result<Links> Links::open() {
  POUCH_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::open(NetlinkSocket::Bus::kRoute));
  return Links(std::move(socket));
}

Result<Link> Links::find(const std::string& name) {
  NetlinkMessage message(RTM_GETLINK, 0);
  message.header<ifinfomsg>()->ifi_family = AF_UNSPEC;
  message.put(IFLA_IFNAME, name);
  Link link;
  POUCH_RETURN_IF_ERROR(socket_.query(message, "find network link " + quote(name),
                                      [&](const nlmsghdr* answer) { link = parse_link(answer); }));
  return link;
}

Result<std::vector<Link>> Links::list() {
  NetlinkMessage message(RTM_GETLINK, NLM_F_DUMP);
  message.header<ifinfomsg>()->ifi_family = AF_UNSPEC;
  std::vector<Link> links;
  POUCH_RETURN_IF_ERROR(socket_.query(message, "list network links",
                                      [&](const nlmsghdr* answer) { links.push_back(parse_link(answer)); }));
  return links;
}

Result<std::vector<LinkAddress>> Links::addresses() {
  NetlinkMessage message(RTM_GETADDR, NLM_F_DUMP);
  message.header<ifaddrmsg>()->ifa_family = AF_UNSPEC;
  std::vector<LinkAddress> found;
  POUCH_RETURN_IF_ERROR(socket_.query(message, "list network addresses", [&](const nlmsghdr* answer) {
    found.push_back(parse_address(answer));
  }));
  return found;
}

Result<std::vector<Route>> Links::routes() {
  NetlinkMessage message(RTM_GETROUTE, NLM_F_DUMP);
  message.header<rtmsg>()->rtm_family = AF_UNSPEC;
  std::vector<Route> found;
  POUCH_RETURN_IF_ERROR(socket_.query(message, "list routes", [&](const nlmsghdr* answer) {
    if (is_ordinary(answer)) found.push_back(parse_route(answer));
  }));
  return found;
}

Status Links::add_bridge(const std::string& name, const MacAddress& mac, int mtu) {
  NetlinkMessage message(RTM_NEWLINK, kCreate);
  message.header<ifinfomsg>()->ifi_family = AF_UNSPEC;
  message.put(IFLA_IFNAME, name);
  // One of its own, or it would take the lowest of its ports' and change with them.
  message.put_bytes(IFLA_ADDRESS, mac.data(), mac.size());
  if (mtu > 0) message.put(IFLA_MTU, static_cast<uint32_t>(mtu));
  message.nest(IFLA_LINKINFO, [&] { message.put(IFLA_INFO_KIND, "bridge"); });
  return socket_.request(message, "netlink.add_bridge", "create network bridge " + quote(name));
}

Status Links::add_veth(const VethSpec& spec) {
  NetlinkMessage message(RTM_NEWLINK, kCreate);
  auto* info = message.header<ifinfomsg>();
  info->ifi_family = AF_UNSPEC;
  info->ifi_flags = IFF_UP;
  info->ifi_change = IFF_UP;
  message.put(IFLA_IFNAME, spec.name);
  if (spec.mtu > 0) message.put(IFLA_MTU, static_cast<uint32_t>(spec.mtu));
  if (spec.master > 0) message.put(IFLA_MASTER, static_cast<uint32_t>(spec.master));
  message.nest(IFLA_LINKINFO, [&] {
    message.put(IFLA_INFO_KIND, "veth");
    message.nest(IFLA_INFO_DATA, [&] {
      message.nest(VETH_INFO_PEER, [&] {
        message.raw(sizeof(ifinfomsg));
        message.put(IFLA_IFNAME, spec.peer_name);
        message.put_bytes(IFLA_ADDRESS, spec.peer_mac.data(), spec.peer_mac.size());
        if (spec.mtu > 0) message.put(IFLA_MTU, static_cast<uint32_t>(spec.mtu));
        if (spec.peer_netns >= 0) message.put(IFLA_NET_NS_FD, static_cast<uint32_t>(spec.peer_netns));
      });
    });
  });
  return socket_.request(message, "netlink.add_veth", "create veth pair " + quote(spec.name));
}

Status Links::add_dummy(const std::string& name) {
  NetlinkMessage message(RTM_NEWLINK, kCreate);
  message.header<ifinfomsg>()->ifi_family = AF_UNSPEC;
  message.put(IFLA_IFNAME, name);
  message.nest(IFLA_LINKINFO, [&] { message.put(IFLA_INFO_KIND, "dummy"); });
  return told_kind(socket_.request(message, "netlink.add_dummy", "create dummy link " + quote(name)));
}

Status Links::add_sub_link(const SubLinkSpec& spec) {
  NetlinkMessage message(RTM_NEWLINK, kCreate);
  message.header<ifinfomsg>()->ifi_family = AF_UNSPEC;
  message.put(IFLA_IFNAME, spec.name);
  message.put(IFLA_LINK, static_cast<uint32_t>(spec.parent));
  if (spec.netns >= 0) message.put(IFLA_NET_NS_FD, static_cast<uint32_t>(spec.netns));
  if (spec.mtu > 0) message.put(IFLA_MTU, static_cast<uint32_t>(spec.mtu));
  if (spec.mac) message.put_bytes(IFLA_ADDRESS, spec.mac->data(), spec.mac->size());
  const char* kind = kind_name(spec.kind);
  message.nest(IFLA_LINKINFO, [&] {
    message.put(IFLA_INFO_KIND, kind);
    message.nest(IFLA_INFO_DATA, [&] { put_sub_link_data(message, spec); });
  });
  return told_kind(socket_.request(message, "netlink.add_sub_link",
                                   std::string("create ") + kind + " link " + quote(spec.name)));
}

Status Links::add_address(int link, const IpNet& address) {
  NetlinkMessage message(RTM_NEWADDR, kCreate);
  auto* info = message.header<ifaddrmsg>();
  info->ifa_family = static_cast<uint8_t>(address.address.family());
  info->ifa_prefixlen = static_cast<uint8_t>(address.prefix);
  info->ifa_index = static_cast<uint32_t>(link);
  message.put_bytes(IFA_LOCAL, address.address.data(), address.address.size());
  message.put_bytes(IFA_ADDRESS, address.address.data(), address.address.size());
  if (address.address.is_v4()) {
    const IpAddress last = address.last();
    message.put_bytes(IFA_BROADCAST, last.data(), last.size());
  } else {
    message.put(IFA_FLAGS, uint32_t{IFA_F_NODAD});
  }
  return socket_.request(message, "netlink.add_address", "add address " + address.to_string());
}

Status Links::set_alias(int link, const std::string& text) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* info = message.header<ifinfomsg>();
  info->ifi_family = AF_UNSPEC;
  info->ifi_index = link;
  message.put(IFLA_IFALIAS, text.substr(0, 255));
  return socket_.request(message, "netlink.set_alias", "describe network link " + std::to_string(link));
}

Status Links::set_hairpin(int bridge_port) {
  NetlinkMessage message(RTM_SETLINK, 0);
  auto* info = message.header<ifinfomsg>();
  info->ifi_family = AF_BRIDGE;
  info->ifi_index = bridge_port;
  constexpr uint8_t kOn = 1;
  message.nest(IFLA_PROTINFO | NLA_F_NESTED, [&] { message.put_bytes(IFLA_BRPORT_MODE, &kOn, sizeof kOn); });
  return socket_.request(message, "netlink.set_hairpin",
                         "let bridge port " + std::to_string(bridge_port) + " send packets back");
}

Status Links::move(int link, int netns, const std::string& name) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* info = message.header<ifinfomsg>();
  info->ifi_family = AF_UNSPEC;
  info->ifi_index = link;
  info->ifi_flags = 0;
  info->ifi_change = IFF_UP;  // its name cannot change while it is up
  message.put(IFLA_NET_NS_FD, static_cast<uint32_t>(netns));
  message.put(IFLA_IFNAME, name);
  return socket_.request(message, "netlink.move_link", "move network link " + std::to_string(link));
}

Status Links::set_mac(int link, const MacAddress& mac) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* info = message.header<ifinfomsg>();
  info->ifi_family = AF_UNSPEC;
  info->ifi_index = link;
  message.put_bytes(IFLA_ADDRESS, mac.data(), mac.size());
  return socket_.request(message, "netlink.set_mac",
                         "set the address of network link " + std::to_string(link));
}

Status Links::add_route(int link, const IpNet& destination, const IpAddress& gateway) {
  NetlinkMessage message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  rtmsg& route = fill_default_route(message, destination.address.family());
  route.rtm_dst_len = static_cast<uint8_t>(destination.prefix);
  if (!gateway.is_valid()) route.rtm_scope = RT_SCOPE_LINK;
  const IpAddress first = destination.first();
  message.put_bytes(RTA_DST, first.data(), first.size());
  if (gateway.is_valid()) message.put_bytes(RTA_GATEWAY, gateway.data(), gateway.size());
  message.put(RTA_OIF, static_cast<uint32_t>(link));
  return socket_.request(message, "netlink.add_route", "add a route to " + destination.to_string());
}

Status Links::set_up(int link) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* info = message.header<ifinfomsg>();
  info->ifi_family = AF_UNSPEC;
  info->ifi_index = link;
  info->ifi_flags = IFF_UP;
  info->ifi_change = IFF_UP;
  return socket_.request(message, "netlink.set_up", "bring network link " + std::to_string(link) + " up");
}

Status Links::set_default_route(int link, const IpAddress& gateway) {
  // IPv6 has several default routes side by side, and replaces none of them reliably.
  const Status removed = gateway.is_v4() ? Status() : remove_default_route(AF_INET6);
  if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
  NetlinkMessage message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  fill_default_route(message, gateway.family());
  message.put_bytes(RTA_GATEWAY, gateway.data(), gateway.size());
  message.put(RTA_OIF, static_cast<uint32_t>(link));
  return socket_.request(message, "netlink.add_route",
                         "add the default route through " + gateway.to_string());
}

Status Links::set_default_route_on_link(int link, int family) {
  const Status removed = remove_default_route(family);
  if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
  NetlinkMessage message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  fill_default_route(message, family).rtm_scope = RT_SCOPE_LINK;
  message.put(RTA_OIF, static_cast<uint32_t>(link));
  return socket_.request(message, "netlink.add_route",
                         "add the default route on link " + std::to_string(link));
}

Status Links::remove_default_route(int family) {
  NetlinkMessage message(RTM_DELROUTE, 0);
  auto* info = message.header<rtmsg>();
  info->rtm_family = static_cast<uint8_t>(family);
  info->rtm_table = RT_TABLE_MAIN;
  info->rtm_scope = RT_SCOPE_NOWHERE;
  const Status removed = socket_.request(message, "netlink.remove_route", "remove the default route");
  return is_no_route(removed) ? not_found("there is no default route") : removed;
}

Status Links::isolate_port(int link) {
  NetlinkMessage message(RTM_SETLINK, 0);
  auto* info = message.header<ifinfomsg>();
  info->ifi_family = AF_BRIDGE;
  info->ifi_index = link;
  const uint8_t on = 1;
  message.nest(IFLA_PROTINFO, [&] { message.put_bytes(IFLA_BRPORT_ISOLATED, &on, sizeof on); });
  return socket_.request(message, "netlink.isolate_port", "isolate bridge port " + std::to_string(link));
}

Status Links::remove(const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(const Link link, find(name));
  NetlinkMessage message(RTM_DELLINK, 0);
  auto* info = message.header<ifinfomsg>();
  info->ifi_family = AF_UNSPEC;
  info->ifi_index = link.index;
  return socket_.request(message, "netlink.remove_link", "remove network link " + quote(name));
}

}  // namespace pouch::sys
