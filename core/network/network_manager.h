#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/api/network.gen.h"
#include "core/base/cancel.h"
#include "core/base/executor.h"
#include "core/base/finding.h"
#include "core/base/status.h"
#include "core/base/sweeper.h"
#include "core/base/unique_fd.h"
#include "core/container/container_networks.h"
#include "core/network/bridges.h"
#include "core/network/endpoints.h"
#include "core/network/legs.h"
#include "core/network/name_lookup.h"
#include "core/network/network_containers.h"
#include "core/network/plugs.h"
#include "core/network/ports.h"
#include "core/store/engine_context.h"

namespace pouch {

/// The networks of the context's root and its containers' places in them: all of network.*
/// (core/api/engine.gen.h has the contract of each). Addresses, and what was made or is about to be made
/// outside, are rows; what a dead process left is found there by whoever comes. Thread-safe.
class NetworkManager final : public ContainerNetworks {
 public:
  /// The context must outlive the manager. Does nothing yet.
  explicit NetworkManager(EngineContext& context);
  ~NetworkManager() override;  ///< waits for what runs in the background
  NetworkManager(const NetworkManager&) = delete;
  NetworkManager& operator=(const NetworkManager&) = delete;
  /// Before the first operation; must outlive what runs.
  void set_containers(NetworkContainers& containers) { containers_ = &containers; }
  /// Waits for what runs; nothing begins any more.
  void close();

  Result<api::NetworkCreateResult> create(const api::NetworkCreateConfig& config, const Call& call);
  Result<std::vector<api::Network>> list(const api::NetworkListOptions& options, const Call& call);
  Result<api::Network> inspect(const std::string& reference, const api::NetworkInspectOptions& options,
                               const Call& call);
  Status remove(const std::string& reference, const Call& call);
  Result<api::NetworkPruneResult> prune(const api::NetworkPruneOptions& options, const Call& call);
  Status connect(const std::string& reference, const api::NetworkConnectConfig& config, const Call& call);
  Status disconnect(const std::string& reference, const api::NetworkDisconnectConfig& config,
                    const Call& call);
  /// Removes all networks that the session has made; who is in them is disconnected.
  Status remove_session(const std::string& session, const Call& call);

  std::vector<std::string> warnings(const api::HostConfig& host) override;
  Status add_endpoints(store::Session& session, const NewContainer& container, const api::HostConfig& host,
                       const EndpointRequests& requests) override;
  Result<NetworkPlan> attach(const ContainerId& id, int64_t generation, const api::HostConfig& host,
                             const Call& call) override;
  Status build(const NetworkPlan& plan, const Call& call) override;
  Status detach(store::Transaction& transaction, const ContainerId& id, int64_t generation) override;
  void sweep_soon() override;
  Result<NetworkView> view(store::Session& session, const ContainerId& id, int64_t generation,
                           const api::HostConfig& host) override;

  /// What is not as it should be with networks that plugins make: one for each, and one for each container
  /// that is not in its network as they left it (CNI's STATUS and CHECK). Takes at most half a second.
  Result<std::vector<Finding>> findings(const Call& call);

  /// What a name or an address means to a container that runs.
  Result<network::NameAnswer> look_up(const network::NameQuestion& question);
  /// The names of the pins of all runs that have a name server.
  Result<std::vector<std::string>> sandboxes_with_names();

  /// Removes what ended runs left outside, and finishes or undoes what dead engines left half-done.
  Status sweep(const Call& call);
  /// Takes down what no container uses; the keeper's last act.
  Status take_down_idle(const Call& call);

 private:
  /// A container's place in a network while one of the two changes.
  struct Change {
    network::NetworkRow network;
    network::EndpointRow endpoint;
    ContainerPlace place;
  };

  // network_manager.cc
  Result<std::string> try_attach(const ContainerId& id, int64_t generation, const api::HostConfig& host,
                                 NetworkPlan& plan, const Call& call);
  Status check_links(store::Session& session, const api::HostConfig& host);
  Status join_another(const api::HostConfig& host, const ContainerId& self, NetworkPlan& plan);
  Status append_event(store::Transaction& transaction, const network::NetworkRow& network,
                      const std::string& action, const ContainerId& container);
  Status insert_place(store::Session& session, const network::NetworkRow& row, const NewContainer& container,
                      const api::EndpointSettings& asked);
  Status give_addresses(store::Session& session, network::NetworkRow& row, network::EndpointRow& endpoint,
                        int64_t generation, const std::vector<network::EndpointRow>& siblings);
  /// What the rows say that a running container has.
  Result<NetworkPlan> plan_of(store::Session& session, const ContainerId& id, int64_t generation,
                              const api::HostConfig& host, bool strict = false);
  /// `strict`: the containers that the default bridge's links name must run.
  Result<std::vector<std::pair<std::string, std::string>>> links_of(store::Session& session,
                                                                    const network::NetworkRow& row,
                                                                    const api::HostConfig& host, bool strict);

  // upkeep.cc
  /// Before it is used for the first time in a boot.
  Status bring_up(const std::string& network_id, const Call& call);

  // plug_in.cc
  /// What plugins give a start: addresses, then links in its namespace, which is made for them.
  Status attach_plugins(const ContainerId& id, int64_t generation, const api::HostConfig& host,
                        NetworkPlan& plan, const Call& call);
  Status plug_in(const network::Place& place, const api::HostConfig& host, const NetworkPlan& plan,
                 const Call& call);
  Status claim_plugin_ports(const ContainerId& id, int64_t generation, const api::HostConfig& host,
                            const std::vector<network::Place>& places, NetworkPlan& plan, const Call& call);
  Result<std::vector<network::Place>> plugin_places(const ContainerId& id);

  // name_lookup.cc
  static network::NameAnswer ask_others(const network::Asker& asker, const api::HostConfig& host,
                                        const network::NameQuestion& question);

  // operations.cc
  Result<api::NetworkCreateResult> create_new(network::NetworkRow row, const std::string& session);
  Status insert_new(network::NetworkRow& row, const std::string& session, const Call& call);
  Result<network::NetworkRow> new_row(const api::NetworkCreateConfig& config);
  Status check_free(const std::string& name);
  Status finish_create(const network::NetworkRow& row, const Call& call);
  Status claim_removal(network::NetworkRow& row, const Call& call);
  Status remove_claimed(const network::NetworkRow& row, bool tell, const Call& call);
  Status finish_removal(const network::NetworkRow& row, bool tell, const Call& call);
  Status ensure_predefined(const Call& call);
  Status remove_of_session(const std::string& id, const Call& call);
  Result<api::Network> describe(store::Session& session, const network::NetworkRow& row, bool members);

  // gateway_bridge.cc
  Result<std::string> ensure_gateway_bridge(const Call& call);
  Result<bool> try_join_gateway(const std::string& network_id, const ContainerId& id, int64_t generation,
                                const std::string& state, const Call& call);
  /// Gives a run an endpoint in that bridge, for which nothing is made yet; the network's id. `state` of the
  /// endpoint: "joining" with an intent, or "".
  Result<std::string> join_gateway(const ContainerId& id, int64_t generation, const std::string& state,
                                   const Call& call);
  /// Joins a running container to it, or has it leave, as its networks are now. Before the change is told, so
  /// that who finds the change's intent finishes both.
  Status adjust_way_out(const Change& change, const Call& call);
  Result<Change> gateway_of(const std::string& network_id, const ContainerPlace& place);
  Status leave_gateway(const ContainerPlace& place, const Call& call);

  // connect.cc
  Result<std::optional<Change>> begin_connect(const std::string& reference,
                                              const api::NetworkConnectConfig& config, const Call& call);
  Status finish_connect(const Change& change, const Call& call);
  Status undo_connect(const Change& change, const Call& call);
  Result<std::optional<Change>> begin_disconnect(const std::string& reference, const std::string& container,
                                                 const Call& call);
  Status finish_disconnect(const Change& change, bool tell, const Call& call);
  Status leave(const Change& change, const Call& call);
  Status remove_link(const Change& change);
  Status disconnect_claimed(const Change& change, bool tell, const Call& call);
  Status forget_place(store::Transaction& transaction, const Change& change);
  /// Default routes and /etc/hosts of a running container, as its rows have them.
  Status move_ports(const ContainerPlace& place, NetworkPlan plan);
  Status refresh(const ContainerPlace& place);
  Result<ContainerPlace> find_settled(store::Session& session, const std::string& reference);
  Status wait_for_others(const std::string& container, const Call& call);

  // recover.cc
  /// Whether nobody is at what an intent says.
  bool is_orphan(const std::string& key, const std::string& owner) const;
  Status recover_networks(const Call& call);
  Status recover_endpoints(const Call& call);
  Status recover_endpoint(const std::string& key, const Call& call);

  // sandbox.cc
  /// Runs `work` on the executor; the caller is free when its call ends.
  template <class R>
  R detached(const Call& call, std::function<R()> work) {
    return run_detached<R>(*context_.executor, call,
                           [held = sweeper_.enter(), work = std::move(work)] { return work(); });
  }
  Result<UniqueFd> make_namespace(const NetworkPlan& plan);
  Status join(const NetworkLeg& leg, int netns, const Call& call);
  Status add_port(const NetworkLeg& leg, sys::Links& host, int netns, const Call& call);
  Status publish(const NetworkPlan& plan, const Call& call);
  /// Takes the ports that a start is to have. Conflict: somebody else has one.
  Status claim_ports(const ContainerId& id, int64_t generation, const api::HostConfig& host,
                     NetworkPlan& plan, const Call& call);
  Status free_ports(const Call& call);
  std::string netns_dir() const { return context_.run_dir() + "/netns"; }
  std::string netns_path(const ContainerId& id, int64_t generation) const {
    return netns_dir() + "/" + network::sandbox_key(id, generation);
  }

  EngineContext& context_;
  NetworkContainers* containers_ = nullptr;
  network::Bridges bridges_;
  network::Ports ports_;
  network::Plugs plugs_;
  std::atomic<bool> holds_ports_ = false;  ///< a keeper's: those of running containers
  Sweeper sweeper_;                        ///< its keys are those of intents
};

namespace network {

/// Removes all that a root may have outside: namespaces, bridges, table. For a root whose database is gone,
/// or about to be.
Status remove_remains(const std::string& root_id, const std::string& run_dir);

}  // namespace network

}  // namespace pouch
