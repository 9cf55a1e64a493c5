#pragma once

#include <string>

#include "core/api/network.gen.h"
#include "core/base/status.h"
#include "core/sys/net_namespace.h"

namespace pouch::network {

/// What the DriverOpts of an endpoint say, by Docker's names, where the driver is the engine's own.
struct EndpointOptions {
  std::string link;  ///< com.docker.network.endpoint.ifname: its name in the container; "": the next free one
  /// com.docker.network.endpoint.sysctls: settings of the link, {"ipv4/conf/IFNAME/log_martians", "1"}.
  sys::NetSettings settings;
};

/// InvalidArgument for a bad value, NotImplemented for an option of another name.
Result<EndpointOptions> endpoint_options(const api::EndpointSettings& asked);

}  // namespace pouch::network
