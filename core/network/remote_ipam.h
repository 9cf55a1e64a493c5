#pragma once

#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/network/records.h"
#include "core/plugin/plugin_client.h"

namespace pouch::network {

/// Who hands out addresses behind libnetwork's IPAM protocol: a plugin. Errors are the plugin client's
/// (core/plugin/plugin_client.h). Thread-safe.
class RemoteIpam {
 public:
  /// NotFound when there is no such plugin, or it hands out no addresses.
  static Result<RemoteIpam> open(const std::string& name, const Call& call);

  /// Requests the network's pools: those that the row has, else one for each family that it is to have. The
  /// row then says what the plugin gave: subnets, their ids, gateways. What a failure leaves is given back.
  Status take_pools(NetworkRow& row, const Call& call) const;
  /// Gateways, reserved addresses and the pools themselves; goes on after errors and answers the first.
  Status give_back_pools(const NetworkRow& row, const Call& call) const;

  /// An address of the pool, with its prefix; `wanted` ("" for any) that one. `mac` is told to a plugin that
  /// asks for it.
  Result<std::string> take_address(const PoolRow& pool, const std::string& wanted, const std::string& mac,
                                   const Call& call) const;
  Status give_back(const std::string& pool_id, const std::string& address, const Call& call) const;

 private:
  explicit RemoteIpam(plugin::PluginAddress address) : address_(std::move(address)) {}
  Result<Json> ask(const std::string& method, const Json& request, const Call& call) const;
  Status take_pool(PoolRow& pool, bool v4, const NetworkRow& row, const Call& call) const;
  Result<std::string> request_address(const std::string& pool_id, const std::string& wanted,
                                      const Json& options, const Call& call) const;

  plugin::PluginAddress address_;
  std::string space_;       ///< its default address space of this host
  bool wants_mac_ = false;  ///< of who is to have an address
};

}  // namespace pouch::network
