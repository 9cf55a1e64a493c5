#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/sys/ip_net.h"
#include "core/sys/netlink.h"
#include "core/sys/port_rules.h"

namespace pouch::sys {

/// Of a bridge in one address family.
struct BridgeWays {
  bool is_routed = false;       ///< published ports, and ICMP, are reached at the containers' own addresses
  bool is_unprotected = false;  ///< so are all ports, but not from other bridges
  IpAddress source;             ///< what is masqueraded leaves under it; not valid: the outgoing link's
};

/// What the firewall is told of a bridge.
struct BridgeRules {
  std::string device;
  std::vector<IpNet> masqueraded;  ///< its subnets whose packets leave the host under the host's address
  bool is_open_within = true;      ///< its containers reach each other
  bool is_internal = false;        ///< nothing leaves it
  BridgeWays v4;
  BridgeWays v6;
  std::vector<std::string> trusted;  ///< links by which published ports are reached directly
};

/// The nftables table (family inet) of one root. Its rules are few and the same whatever there is; bridges
/// and subnets are elements of its sets. It drops what would enter a bridge from elsewhere, another bridge
/// included, unless it answers something from inside or was led there by a published port; and it masquerades
/// what leaves. Where a bridge says so, more is let in. Nothing outside of the table is touched. One thread
/// at a time.
class BridgeFirewall {
 public:
  static Result<BridgeFirewall> open(std::string table);
  /// Whether the kernel knows of a packet that leaves where it came in: since Linux 5.7.
  static bool can_choose_sources();

  /// NotFound when the table is not there.
  Status find();
  /// Makes the table anew with these bridges and ports, in one step. `comment` is what nft(8) shows with it.
  Status create(const std::vector<BridgeRules>& bridges, const std::vector<PortRule>& ports,
                const std::string& comment);
  /// One more bridge in a table that is there; also when it knows the bridge.
  Status add(const BridgeRules& bridge);
  /// Takes out what add() put in; ok when table or bridge are not there.
  Status take_out(const BridgeRules& bridge);
  /// Ok when it is not there.
  Status remove();

 private:
  BridgeFirewall(std::string table, NetlinkSocket socket)
      : table_(std::move(table)), socket_(std::move(socket)) {}

  std::string table_;
  NetlinkSocket socket_;
};

}  // namespace pouch::sys
