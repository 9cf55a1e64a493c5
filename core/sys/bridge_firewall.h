#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/sys/ip_net.h"
#include "core/sys/netlink.h"
#include "core/sys/port_rules.h"

namespace pouch::sys {

/// What the firewall is told of a bridge.
struct BridgeRules {
  std::string device;
  std::vector<IpNet> masqueraded;  ///< its subnets whose packets leave the host under the host's address
  bool is_open_within = true;      ///< its containers reach each other
  bool is_internal = false;        ///< nothing leaves it
};

/// The nftables table (family inet) of one root. Its rules are few and the same whatever there is; bridges
/// and subnets are elements of its sets. It drops what would enter a bridge from elsewhere, another bridge
/// included, unless it answers something from inside or was led there by a published port; and it masquerades
/// what leaves. Nothing outside of the table is touched. One thread at a time.
class BridgeFirewall {
 public:
  static Result<BridgeFirewall> open(std::string table);

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
