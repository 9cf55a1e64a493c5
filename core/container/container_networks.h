#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/database.h"

namespace pouch {

/// Endpoints by the network's name, as they were asked for.
using EndpointRequests = std::map<std::string, api::EndpointSettings>;

/// A container's link into one network. Texts, as they are shown.
struct NetworkLeg {
  std::string bridge;   ///< link of the host that it is a port of
  std::string link;     ///< its name in the container: "eth0"
  std::string mac;      ///< "02:42:0a:c0:00:02"
  std::string address;  ///< with prefix: "10.192.0.2/22"
  std::string gateway;  ///< "10.192.0.1"
};

/// A port of the host that leads to one of a container.
struct PublishedPort {
  std::string protocol;      ///< "tcp", "udp", "sctp"
  std::string host_address;  ///< "0.0.0.0" or "::" for all of the host's
  uint16_t host_port = 0;
  std::string address;  ///< the container's, of the same family
  uint16_t port = 0;
};

/// One start's place in its networks: decided and written down, nothing is made outside yet.
struct NetworkPlan {
  std::string netns_path;  ///< "": none is made for it; the runtime makes one, or it has the host's
  std::vector<NetworkLeg> legs;
  std::vector<PublishedPort> ports;
};

/// What a container's documents tell of its networks.
struct NetworkView {
  std::map<std::string, api::EndpointSettings> networks;
  std::string sandbox_id;
  std::string sandbox_key;
  std::vector<PublishedPort> ports;
};

/// How the container manager sees networks. Thread-safe. Those that take a session work in it and make no
/// transaction.
class ContainerNetworks {
 public:
  virtual ~ContainerNetworks() = default;

  /// What may keep its packets from where they are to go; for create's answer.
  virtual std::vector<std::string> warnings(const api::HostConfig& host) = 0;
  /// Joins a new container to its networks, beside its row.
  virtual Status add_endpoints(store::Session& session, const ContainerId& id, const api::HostConfig& host,
                               const EndpointRequests& requests) = 0;

  /// Gives a start its addresses and the ports of HostConfig.PortBindings, and writes down what build() is
  /// going to make. Brings up the networks. Conflict: somebody else has such a port.
  virtual Result<NetworkPlan> attach(const ContainerId& id, int64_t generation, const api::HostConfig& host,
                                     const Call& call) = 0;
  /// Makes it: namespace, links, routes. What a failure leaves sweep_soon() removes.
  virtual Status build(const NetworkPlan& plan, const Call& call) = 0;
  /// The run has ended, in the transaction that says so: its addresses are free.
  virtual Status detach(store::Transaction& transaction, const ContainerId& id, int64_t generation) = 0;
  /// Removes, in the background, what ended runs left outside.
  virtual void sweep_soon() = 0;

  virtual Result<NetworkView> view(store::Session& session, const ContainerId& id, int64_t generation,
                                   const api::HostConfig& host) = 0;
};

}  // namespace pouch
