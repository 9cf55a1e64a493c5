#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/network/default_bridge.h"
#include "core/network/ports.h"
#include "core/store/engine_context.h"

namespace pouch {

/// The networks of the context's root and its containers' places in them. Addresses, and what was made or is
/// about to be made outside, are rows; what a dead process left is found there by whoever comes. Thread-safe.
class NetworkManager final : public ContainerNetworks {
 public:
  /// The context must outlive the manager. Does nothing yet.
  explicit NetworkManager(EngineContext& context);
  ~NetworkManager() override;  ///< waits for what runs in the background
  NetworkManager(const NetworkManager&) = delete;
  NetworkManager& operator=(const NetworkManager&) = delete;

  std::vector<std::string> warnings(const api::HostConfig& host) override;
  Status add_endpoints(store::Session& session, const ContainerId& id, const api::HostConfig& host,
                       const EndpointRequests& requests) override;
  Result<NetworkPlan> attach(const ContainerId& id, int64_t generation, const api::HostConfig& host,
                             const Call& call) override;
  Status build(const NetworkPlan& plan, const Call& call) override;
  Status detach(store::Transaction& transaction, const ContainerId& id, int64_t generation) override;
  void sweep_soon() override;
  Result<NetworkView> view(store::Session& session, const ContainerId& id, int64_t generation,
                           const api::HostConfig& host) override;

  /// Removes what ended runs left outside.
  Status sweep(const Call& call);
  /// Takes down what no container uses; the keeper's last act.
  Status take_down_idle(const Call& call);

 private:
  struct Background;
  Result<bool> try_attach(const ContainerId& id, int64_t generation, NetworkPlan& plan, const Call& call);
  Status append_event(store::Transaction& transaction, const network::NetworkRow& network,
                      const std::string& action, const ContainerId& container);
  Status join(const NetworkPlan& plan, const NetworkLeg& leg, int netns, sys::Links& inside);
  Status publish(const NetworkPlan& plan);
  Status free_ports(const Call& call);
  std::string netns_dir() const { return context_.run_dir() + "/netns"; }

  EngineContext& context_;
  network::DefaultBridge bridge_;
  network::Ports ports_;
  std::atomic<bool> holds_ports_ = false;  ///< a keeper's: those of running containers
  std::shared_ptr<Background> background_;
};

namespace network {

/// Removes all that a root may have outside: namespaces, bridge, table. For a root whose database is gone, or
/// about to be.
Status remove_remains(const std::string& root_id, const std::string& run_dir);

}  // namespace network

}  // namespace pouch
