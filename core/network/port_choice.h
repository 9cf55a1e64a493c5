#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/spec/ports.h"
#include "core/sys/ip_net.h"

// Which ports of the host may lead to a container's: pure functions, but for what the host has.

namespace pouch::network {

/// An address of a container to which its published ports lead.
struct PortTarget {
  sys::IpAddress address;
  bool is_direct =
      false;  ///< its network is routed: the port is published there, none of the host's leads to it
  std::string
      host_binding;  ///< of ports that are published without an address of the host; "": all addresses
};

/// One way to a container.
struct PortWay {
  sys::IpAddress host;
  sys::IpAddress target;
  bool is_direct = false;  ///< `host` is `target`

  /// As it is published; `host_port` is the host's, where it has one.
  PublishedPort at(const spec::ContainerPort& port, uint16_t host_port) const;
};

/// From which addresses of the host, to which of the container. NotImplemented: it has none of that family.
Result<std::vector<PortWay>> ways_of(const spec::PortRequest& request,
                                     const std::vector<PortTarget>& targets);

/// The target of that family, or null.
const PortTarget* of_family(const std::vector<PortTarget>& targets, bool v4);

/// Ports of the host in the order in which they are tried; one will do where no way needs one.
std::vector<uint16_t> candidates(const spec::PortRequest& request, const std::vector<PortWay>& ways);

/// Conflict, as Docker says it: of the candidates there is none.
Status all_taken(const spec::PortRequest& request, const PortWay& first);

/// "[::1]": an address before a port.
std::string before_port(const std::string& address);

}  // namespace pouch::network
