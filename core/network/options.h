#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/network/records.h"

namespace pouch::network {

/// How containers are reached from outside of their network, in one address family.
enum class GatewayMode {
  kNat,             ///< at published ports of the host
  kNatUnprotected,  ///< so, and by other hosts at all ports of their own addresses
  kRouted,          ///< at published ports of their own addresses; no address is translated
  kIsolated,        ///< not at all: the bridge has no address either
};

/// What the driver options of a bridge say, by Docker's names.
struct BridgeOptions {
  std::string device;  ///< "": named by the network's id
  bool icc = true;     ///< containers reach each other
  bool masquerade = true;
  bool inhibit_ipv4 = false;  ///< the bridge has no IPv4 address of its own: another is the gateway
  int mtu = 0;                ///< 0: that of the host's default route
  std::string link_prefix = "eth";
  std::string host_binding;  ///< IPv4 address for ports that are published without one; "": all of the host's
  GatewayMode mode4 = GatewayMode::kNat;
  GatewayMode mode6 = GatewayMode::kNat;
  std::vector<std::string> trusted;  ///< what comes in by these links reaches published ports directly too
  std::string source4;               ///< of the host: under which packets leave; "": the outgoing link's
  std::string source6;

  GatewayMode mode(bool v4) const { return v4 ? mode4 : mode6; }
};

/// InvalidArgument for a bad value. Options that nobody knows are kept, as with Docker.
Result<BridgeOptions> bridge_options(const Texts& options);

/// Whether a link may be called so.
bool is_link_name(const std::string& name);

}  // namespace pouch::network
