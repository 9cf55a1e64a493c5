#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
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
  std::string network_id;
  std::string driver;                   ///< "bridge", "macvlan", "ipvlan", "cni", a plugin's
  std::string bridge;                   ///< link of the host that it is a port of
  std::string parent;                   ///< macvlan, ipvlan: link of the host that it shares
  std::string mode, flag;               ///< macvlan, ipvlan: of the network's options
  int mtu = 0;                          ///< macvlan, ipvlan; 0: the parent's
  std::string veth;                     ///< its other end, on the host
  std::string link;                     ///< its name in the container: "eth0"
  std::string mac;                      ///< "02:42:0a:c0:00:02"
  std::string address;                  ///< with prefix: "10.192.0.2/22"; "": no IPv4
  std::string gateway;                  ///< "10.192.0.1"; "": no way out
  std::string address6;                 ///< with prefix: "fd00::2/64"; "": no IPv6
  std::string gateway6;                 ///< "fd00::1"; "": no way out
  std::string host_binding;             ///< for ports that are published without an address; "": all
  std::vector<std::string> link_local;  ///< further addresses
  std::vector<std::string> search;      ///< domains in which names are looked for there
  /// Kernel settings of the link, its name left open: {"ipv4/conf/IFNAME/log_martians", "1"}.
  std::vector<std::pair<std::string, std::string>> settings;
  bool is_routed = false;       ///< no gateway is needed: all are neighbours
  bool is_direct4 = false;      ///< its ports are published at its own address, not at the host's
  bool is_direct6 = false;      ///< the same for IPv6
  bool wants_way_out = false;   ///< its plugin leaves that to the engine
  bool is_last_resort = false;  ///< only there to lead out
  bool is_hairpin = false;      ///< what it sends to the host's ports may come back to it
  bool is_isolated = false;     ///< it reaches no other container in its network
  bool is_default4 = false;     ///< the default route goes through it
  bool is_default6 = false;     ///< the same for IPv6
};

/// A port of the host that leads to one of a container.
struct PublishedPort {
  std::string protocol;      ///< "tcp", "udp", "sctp"
  std::string host_address;  ///< "0.0.0.0" or "::" for all of the host's
  uint16_t host_port = 0;
  std::string address;  ///< the container's; of another family: the keeper relays
  uint16_t port = 0;

  /// None of our rules leads there: a plugin's do, or nothing leads out of the container just now. `address`
  /// is "0.0.0.0" or "::".
  bool is_not_ours() const { return address == "0.0.0.0" || address == "::"; }
  /// The container's port itself is published, at its own address: the host has none for it.
  bool is_direct() const { return host_address == address && host_port == port && !is_not_ours(); }
  friend bool operator==(const PublishedPort&, const PublishedPort&) = default;
};

/// One start's place in its networks: decided and written down, nothing is made outside yet.
struct NetworkPlan {
  std::string netns_path;  ///< "": none is made for it; the runtime makes one, or it has the host's
  std::vector<NetworkLeg> legs;

  /// Of other containers, for /etc/hosts: address and names, as Links ask for them.
  std::vector<std::pair<std::string, std::string>> links;
  /// HostConfig.NetworkMode container: whose namespace, files and host name it has.
  ContainerId shared_with;
  bool is_host = false;      ///< it has the host's network
  bool has_names = false;    ///< a name server in it knows who else is in its networks
  bool has_plugins = false;  ///< some of its networks are made by plugins
  bool is_made = false;      ///< the namespace is there, with what the plugins made
  std::vector<PublishedPort> ports;
};

/// What networks must know of a container when it is made.
struct NewContainer {
  ContainerId id;
  std::string name;
  std::string hostname;
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
  /// Joins a new container to its networks, beside its row. NotFound "network x not found"; InvalidArgument.
  virtual Status add_endpoints(store::Session& session, const NewContainer& container,
                               const api::HostConfig& host, const EndpointRequests& requests) = 0;

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
