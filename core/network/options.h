#pragma once

#include <string>

#include "core/base/status.h"
#include "core/network/records.h"

namespace pouch::network {

/// What the driver options of a bridge say, by Docker's names.
struct BridgeOptions {
  std::string device;  ///< "": named by the network's id
  bool icc = true;     ///< containers reach each other
  bool masquerade = true;
  bool inhibit_ipv4 = false;  ///< the bridge has no IPv4 address of its own: another is the gateway
  int mtu = 0;                ///< 0: that of the host's default route
  std::string link_prefix = "eth";
  std::string host_binding;  ///< IPv4 address for ports that are published without one; "": all of the host's
};

/// InvalidArgument for a bad value, NotImplemented for an option that is known and not supported. Others are
/// nobody's, and kept, as with Docker.
Result<BridgeOptions> bridge_options(const Texts& options);

/// Whether a link may be called so.
bool is_link_name(const std::string& name);

}  // namespace pouch::network
