#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/status.h"

// The ports that a container publishes, as they are asked for. Pure functions.

namespace pouch::spec {

/// "80/tcp"; without a protocol it is tcp.
struct ContainerPort {
  std::string protocol;  ///< "tcp", "udp", "sctp"
  uint16_t port = 0;

  std::string text() const { return std::to_string(port) + "/" + protocol; }
  friend auto operator<=>(const ContainerPort&, const ContainerPort&) = default;
};

/// One port of a container that shall be reached at one port of the host, free ones of these.
struct PortRequest {
  ContainerPort port;
  std::string host_address;  ///< "": all of the host's
  uint16_t first = 0;        ///< 0: any that is free
  uint16_t last = 0;

  bool is_fixed() const { return first != 0 && first == last; }
};

using PortMap = std::map<std::string, api::Nullable<std::vector<api::PortBinding>>>;

/// InvalidArgument in Docker's words.
Result<ContainerPort> parse_container_port(const std::string& text);
/// Of HostConfig.PortBindings, fixed ones first. InvalidArgument in Docker's words.
Result<std::vector<PortRequest>> port_requests(const PortMap& bindings);
/// HostConfig as it is when PublishAllPorts is spelled out: each exposed port without a binding has one to
/// any port of the host.
api::HostConfig with_all_published(const api::ContainerConfig& config, api::HostConfig host);

}  // namespace pouch::spec
