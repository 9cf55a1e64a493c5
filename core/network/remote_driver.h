#pragma once

#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/api/json.h"
#include "core/api/network.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/network/endpoints.h"
#include "core/network/plugged.h"
#include "core/network/records.h"
#include "core/plugin/plugin_client.h"

namespace pouch::network {

/// What a plugin made for an endpoint: a link on the host, which is to be moved into the container.
struct JoinAnswer {
  std::string source_link;  ///< its name; "": there is none to move
  std::string prefix;       ///< of its name in the container: "eth"; "": the network's
  std::string gateway;      ///< "": none
  std::string gateway6;
  bool has_gateway_service =
      true;  ///< "DisableGatewayService" was not said: who has no gateway wants the engine's
  std::vector<StaticRoute> routes;
};

/// A driver behind libnetwork's remote protocol: a plugin that makes links on this host (scope "local").
/// Errors are the plugin client's (core/plugin/plugin_client.h). Thread-safe.
class RemoteDriver {
 public:
  /// NotFound when there is no such plugin, or it is no network driver; NotImplemented for one whose networks
  /// span hosts (scope "global"), which needs a cluster.
  static Result<RemoteDriver> open(const std::string& name, const Call& call);

  Status create_network(const NetworkRow& row, const Call& call) const;
  Status remove_network(const std::string& network_id, const Call& call) const;

  /// With the addresses that the row has (`address`, `address6` with prefixes; ""), and for `options` the
  /// endpoint's and the container's ports. What the plugin chose beside goes into `endpoint` and `facts`;
  /// Internal when it changes what it was given.
  Status create_endpoint(EndpointRow& endpoint, PluginFacts& facts, const Json& options,
                         const Call& call) const;
  Result<JoinAnswer> join(const EndpointRow& endpoint, const std::string& netns, const Json& options,
                          const Call& call) const;
  /// Lets others in at the container's ports, where the plugin knows the call.
  Status open_ports(const EndpointRow& endpoint, const Json& options, const Call& call) const;

  /// The steps back, each also for what may not have been done.
  Status close_ports(const std::string& network_id, const std::string& endpoint_id, const Call& call) const;
  Status leave(const std::string& network_id, const std::string& endpoint_id, const Call& call) const;
  Status remove_endpoint(const std::string& network_id, const std::string& endpoint_id,
                         const Call& call) const;

 private:
  explicit RemoteDriver(plugin::PluginAddress address) : address_(std::move(address)) {}
  Result<Json> ask(const std::string& method, const Json& request, const Call& call) const;
  plugin::PluginAddress address_;
};

/// Options of an endpoint, by libnetwork's names: its DriverOpts, and the ports of HostConfig.
Json remote_options(const api::EndpointSettings& asked, const api::HostConfig& host);

}  // namespace pouch::network
