#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/sys/ip_net.h"
#include "core/sys/netlink.h"

namespace pouch::sys {

struct Link {
  int index = 0;
  std::string name;
  std::string kind;  ///< "bridge", "veth", "" for hardware
  int master = 0;    ///< index of the bridge that it is a port of
  int mtu = 0;
  bool is_up = false;
  bool is_loopback = false;
  MacAddress mac{};
  std::string alias;  ///< text of set_alias()
};

struct Route {
  IpNet destination;  ///< prefix 0 is the default route
  IpAddress gateway;  ///< invalid: on the link
  int link = 0;       ///< index
};

struct LinkAddress {
  IpNet net;
  int link = 0;  ///< index
};

/// Both ends of a veth pair.
struct VethSpec {
  std::string name;  ///< of the end that stays here
  int master = 0;    ///< the bridge that it becomes a port of; 0: none
  int mtu = 0;       ///< of both; 0: the kernel's default
  std::string peer_name;
  MacAddress peer_mac{};
  int peer_netns = -1;  ///< descriptor of the namespace for the other end
};

enum class SubLinkKind { kMacvlan, kIpvlan, kVlan };

/// A link that shares another one's hardware.
struct SubLinkSpec {
  SubLinkKind kind = SubLinkKind::kMacvlan;
  std::string name;
  int parent = 0;                 ///< index, here
  int netns = -1;                 ///< descriptor of the namespace where it is made; -1: here
  int mtu = 0;                    ///< 0: the parent's
  std::optional<MacAddress> mac;  ///< none: the kernel's choice
  uint32_t mode = 0;              ///< MACVLAN_MODE_…, IPVLAN_MODE_…, or the id of the VLAN
  uint16_t flags = 0;             ///< IPVLAN_F_…
};

/// Links, addresses and routes of the network namespace in which it was opened, by netlink. One thread at a
/// time. What there is already is AlreadyExists, what is not there NotFound.
class Links {
 public:
  static Result<Links> open();

  Result<Link> find(const std::string& name);
  Result<std::vector<Link>> list();
  Result<std::vector<LinkAddress>> addresses();
  /// Of all tables.
  Result<std::vector<Route>> routes();

  Status add_bridge(const std::string& name, const MacAddress& mac, int mtu);
  /// One that leads nowhere. NotImplemented when the kernel has none, as of the next.
  Status add_dummy(const std::string& name);
  Status add_sub_link(const SubLinkSpec& spec);
  /// The end that stays is up afterwards.
  Status add_veth(const VethSpec& spec);
  /// An IPv6 address is usable at once: nobody is asked whether it is a duplicate.
  Status add_address(int link, const IpNet& address);
  /// Text for people, at most 255 bytes, which `ip link` and /sys/class/net show.
  Status set_alias(int link, const std::string& text);
  /// The bridge sends a packet back through the port that it came from: from a container through the host's
  /// published port to itself, where the kernel filters bridged packets too.
  Status set_hairpin(int bridge_port);
  /// Into another namespace, under that name there; it is down afterwards.
  Status move(int link, int netns, const std::string& name);
  Status set_mac(int link, const MacAddress& mac);
  /// `gateway` invalid: the destination is on the link.
  Status add_route(int link, const IpNet& destination, const IpAddress& gateway);
  /// Also when it is up already.
  Status set_up(int link);
  /// One of the two families of `gateway`; the one there was goes.
  Status set_default_route(int link, const IpAddress& gateway);
  /// The same without a gateway: all are neighbours.
  Status set_default_route_on_link(int link, int family);
  /// Of family AF_INET or AF_INET6; NotFound when there is none.
  Status remove_default_route(int family);
  /// A port of a bridge that reaches the bridge itself and no other such port.
  Status isolate_port(int link);
  /// Waits for an RCU grace period, some 20 ms for a veth.
  Status remove(const std::string& name);

 private:
  explicit Links(NetlinkSocket socket) : socket_(std::move(socket)) {}
  NetlinkSocket socket_;
};

}  // namespace pouch::sys
