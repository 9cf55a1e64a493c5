#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/sys/ip_net.h"
#include "core/sys/netlink.h"

namespace pouch::sys {

class NftBatch;
class NftRule;

/// One port of the host that leads to one of a container. Both addresses are of one family. Where both ends
/// are the same none of the host's leads there, and the container's port is published all the same.
struct PortRule {
  uint8_t protocol = 0;  ///< IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP
  IpAddress host;        ///< 0.0.0.0 or ::, all of the host's; or one of them
  uint16_t host_port = 0;
  IpAddress target;
  uint16_t target_port = 0;

  bool is_direct() const { return host == target && host_port == target_port; }
};

/// What a root's nftables table has for published ports: the same few rules whatever is published, and maps
/// with an element for each port. Packets to an address of the host are led to the container, from other
/// hosts, containers and the host itself; 127.0.0.1 is for the host alone. The source stays what it is, but
/// for packets from 127.0.0.1, which become the bridge's, and from containers, whose answers would not come
/// back this way. Beside them the sets of the containers' ports that are published, for who comes without
/// NAT.
void add_port_sets(NftBatch& batch);
/// Whether the packet is for one of those. `family`: NFPROTO_IPV4 or NFPROTO_IPV6, the packet's.
NftRule& to_published_port(NftRule& rule, uint8_t family);
/// Needs the table's sets "bridges", "masqueraded" and "masqueraded6", and those of add_port_sets().
void add_port_chains(NftBatch& batch, const std::string& table);
/// The elements. With add_port_sets() in one batch, or later.
void add_port_elements(NftBatch& batch, const std::vector<PortRule>& rules);

/// A table that leads what is sent from within the calling thread's network namespace alone, in place of one
/// of that name. IPv4, each from one address.
Status lead_own_packets(const std::string& table, const std::vector<PortRule>& rules);

/// The elements of a table that is there. One thread at a time.
class PortRules {
 public:
  static Result<PortRules> open(std::string table);

  /// All or none. NotFound when the table is not there or has no maps; what leads elsewhere is replaced.
  Status add(const std::vector<PortRule>& rules);
  /// Ok for what is not there.
  Status remove(const std::vector<PortRule>& rules);

 private:
  PortRules(std::string table, NetlinkSocket socket) : table_(std::move(table)), socket_(std::move(socket)) {}

  std::string table_;
  NetlinkSocket socket_;
};

}  // namespace pouch::sys
