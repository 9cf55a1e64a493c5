// Containers that join and leave networks, running or not.

#include <algorithm>

#include "core/api/codec.h"
#include "core/base/log.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/events/event_log.h"
#include "core/network/legs.h"
#include "core/network/mode.h"
#include "core/network/network_manager.h"
#include "core/network/plugged.h"
#include "core/network/routes.h"
#include "core/network/sub_links.h"
#include "core/sys/net_namespace.h"

namespace pouch {

using network::EndpointRow;
using network::NetworkRow;

namespace {

constexpr int64_t kStepMs = 60'000;
constexpr int64_t kLookMs = 200;

Call own_call() {
  return Call{Deadline::after_ms(kStepMs), nullptr, {}};
}

bool is_published_by_plugin(const NetworkLeg& leg) {
  const bool leads_out = !leg.gateway.empty() || !leg.gateway6.empty();
  return network::is_plugin_driver(leg.driver) && leg.driver != network::kCni && leads_out;
}

bool runs(const ContainerPlace& place) {
  return place.state == "running";
}

}  // namespace

// Unavailable: it is on its way from one state to another.
Result<ContainerPlace> NetworkManager::find_settled(store::Session& session, const std::string& reference) {
  POUCH_ASSIGN_OR_RETURN(ContainerPlace place, containers_->find(session, reference));
  if (place.state == "creating") return not_found("No such container: " + reference);
  if (place.state == "removing" || place.state == "dead") {
    return conflict("Container " + place.id.str() +
                    " is marked for removal and cannot be connected or disconnected to the network");
  }
  if (place.state == "starting" || place.state == "exiting") {
    return unavailable("container " + place.id.str() + " is being started or stopped");
  }
  return place;
}

Status NetworkManager::wait_for_others(const std::string& container, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const int64_t seq, context_.events->last_seq());
  Call pause = call;
  pause.deadline = call.deadline.earlier(Deadline::after_ms(kLookMs));
  context_.events->wait_for_change(seq, pause).status().ignore();
  return call.check().prefix("wait for container " + container);
}

// Nothing to be done outside: no change. Unavailable: the network is down, or the container not settled.
Result<std::optional<NetworkManager::Change>> NetworkManager::begin_connect(
    const std::string& reference, const api::NetworkConnectConfig& config, const Call& call) {
  Change change;
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_RETURN_IF_ERROR(bridges_.ensure_default(transaction).status());
  POUCH_ASSIGN_OR_RETURN(change.place, find_settled(transaction, config.container.value_or("")));
  POUCH_ASSIGN_OR_RETURN(change.network, network::resolve_network(transaction, reference));
  const ContainerPlace& place = change.place;
  NetworkRow& row = change.network;
  POUCH_RETURN_IF_ERROR(network::check_mode(place.host, row));
  POUCH_ASSIGN_OR_RETURN(const auto there, network::find_endpoint(transaction, row.id, place.id));
  if (there && there->state != "left" && runs(place)) {
    return Status(Code::kPermissionDenied,
                  "endpoint with name " + place.name + " already exists in network " + row.name);
  }
  if (there) POUCH_RETURN_IF_ERROR(network::delete_endpoint(transaction, row.id, place.id));
  const api::EndpointSettings asked = config.endpoint_config.value_or(api::EndpointSettings{});
  POUCH_RETURN_IF_ERROR(insert_place(transaction, row, {place.id, place.name, place.hostname}, asked));
  if (!runs(place)) {
    POUCH_RETURN_IF_ERROR(transaction.commit());
    return std::optional<Change>();
  }
  if (row.up_boot != context_.boot_id) {
    change.endpoint = {};
    return std::optional<Change>(change);  // the transaction is rolled back
  }
  POUCH_ASSIGN_OR_RETURN(const auto siblings, network::endpoints_of(transaction, place.id));
  POUCH_ASSIGN_OR_RETURN(const auto mine, network::find_endpoint(transaction, row.id, place.id));
  change.endpoint = *mine;
  change.endpoint.state = "joining";
  POUCH_RETURN_IF_ERROR(give_addresses(transaction, row, change.endpoint, place.generation, siblings));
  POUCH_RETURN_IF_ERROR(network::put_intent(transaction, network::kEndpointKind,
                                            network::endpoint_key(change.endpoint), context_.owner_token,
                                            "{}"));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return std::optional<Change>(std::move(change));
}

Status NetworkManager::finish_connect(const Change& change, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const api::EndpointSettings asked, change.endpoint.settings());
  POUCH_RETURN_IF_ERROR(plug_in({change.network, change.endpoint, asked}, change.place.host, {}, call));
  NetworkPlan plan;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(plan,
                           plan_of(snapshot, change.place.id, change.place.generation, change.place.host));
  }
  const std::string path = netns_path(change.place.id, change.place.generation);
  POUCH_ASSIGN_OR_RETURN(const UniqueFd netns, sys::open_net_namespace(path));
  for (const NetworkLeg& leg : plan.legs) {
    const bool is_ours = leg.network_id == change.network.id && !network::is_plugin_driver(leg.driver);
    if (is_ours) POUCH_RETURN_IF_ERROR(join(leg, netns.get(), call));
  }
  POUCH_RETURN_IF_ERROR(refresh(change.place));
  POUCH_RETURN_IF_ERROR(adjust_way_out(change, call));
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_RETURN_IF_ERROR(network::set_endpoint_state(transaction, change.endpoint, ""));
  POUCH_RETURN_IF_ERROR(
      network::drop_intent(transaction, network::kEndpointKind, network::endpoint_key(change.endpoint)));
  POUCH_RETURN_IF_ERROR(append_event(transaction, change.network, "connect", change.place.id));
  return transaction.commit();
}

Status NetworkManager::undo_connect(const Change& change, const Call& call) {
  return finish_disconnect(change, false, call);
}

Status NetworkManager::connect(const std::string& reference, const api::NetworkConnectConfig& config,
                               const Call& call) {
  const std::string container = config.container.value_or("");
  if (container.empty()) return invalid_argument("Container: no container is given");
  return detached<Status>(call, [this, reference, config, container, call]() -> Status {
    while (true) {
      const auto change = begin_connect(reference, config, own_call());
      if (change.code() == Code::kUnavailable) {
        POUCH_RETURN_IF_ERROR(wait_for_others(container, call));
        continue;
      }
      if (!change.is_ok()) return change.status();
      if (!*change) return {};
      if (!(*change)->endpoint.is_running()) {
        POUCH_RETURN_IF_ERROR(bring_up((*change)->network.id, own_call()));
        continue;
      }
      const Status done = finish_connect(**change, own_call());
      if (done.is_ok()) return {};
      const Status undone = undo_connect(**change, own_call());
      if (!undone.is_ok()) log_warning("network", "undo a connect: " + undone.message(), container);
      return done.prefix("connect container " + (*change)->place.name + " to network " +
                         (*change)->network.name);
    }
  });
}

// Its place in the network of its NetworkMode is remembered as left: the next start does not join it again.
Status NetworkManager::forget_place(store::Transaction& transaction, const Change& change) {
  const std::string mode = network::mode_of(change.place.host);
  const bool is_main = mode == change.network.name || mode == change.network.id;
  POUCH_RETURN_IF_ERROR(network::delete_endpoint(transaction, change.network.id, change.place.id));
  if (!is_main) return {};
  EndpointRow left;
  left.network_id = change.network.id;
  left.container_id = change.place.id;
  left.settings_json = "{}";
  POUCH_RETURN_IF_ERROR(network::insert_endpoint(transaction, left, {}));
  return network::set_endpoint_state(transaction, left, "left");
}

Result<std::optional<NetworkManager::Change>> NetworkManager::begin_disconnect(const std::string& reference,
                                                                               const std::string& container,
                                                                               const Call& call) {
  Change change;
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_RETURN_IF_ERROR(bridges_.ensure_default(transaction).status());
  POUCH_ASSIGN_OR_RETURN(change.place, find_settled(transaction, container));
  POUCH_ASSIGN_OR_RETURN(change.network, network::resolve_network(transaction, reference));
  if (change.network.driver == "host") {
    return invalid_argument(
        "container cannot be disconnected from host network or connected to host network");
  }
  POUCH_ASSIGN_OR_RETURN(const auto there,
                         network::find_endpoint(transaction, change.network.id, change.place.id));
  if (!there || there->state == "left") {
    return Status(Code::kPermissionDenied, "container " + change.place.id.str() +
                                               " is not connected to network " + change.network.name);
  }
  if (!there->state.empty()) return unavailable("it is joining or leaving just now");
  change.endpoint = *there;
  if (!runs(change.place) || !there->is_running()) {
    POUCH_RETURN_IF_ERROR(forget_place(transaction, change));
    POUCH_RETURN_IF_ERROR(transaction.commit());
    return std::optional<Change>();
  }
  POUCH_RETURN_IF_ERROR(network::set_endpoint_state(transaction, change.endpoint, "leaving"));
  POUCH_RETURN_IF_ERROR(network::put_intent(transaction, network::kEndpointKind,
                                            network::endpoint_key(change.endpoint), context_.owner_token,
                                            "{}"));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return std::optional<Change>(std::move(change));
}

// NotFound: its link is gone, or its namespace.
Status NetworkManager::leave(const Change& change, const Call& call) {
  if (network::is_plugin_driver(change.network.driver)) {
    return plugs_.detach(change.endpoint.endpoint_id, call);
  }
  const Status removed = remove_link(change);
  if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
  return network::has_plugin(change.network) ? plugs_.detach(change.endpoint.endpoint_id, call) : removed;
}

Status NetworkManager::remove_link(const Change& change) {
  if (!network::has_sub_links(change.network.driver)) {
    POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
    return links.remove(network::veth_name(context_.root_id, change.endpoint.endpoint_id));
  }
  POUCH_ASSIGN_OR_RETURN(const UniqueFd netns,
                         sys::open_net_namespace(netns_path(change.place.id, change.endpoint.generation)));
  return sys::in_net_namespace(netns.get(), [&change]() -> Status {
    POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
    return links.remove(change.endpoint.link);
  });
}

Status NetworkManager::finish_disconnect(const Change& change, bool tell, const Call& call) {
  const Status done = disconnect_claimed(change, tell, call);
  sweeper_.note_end(network::endpoint_key(change.endpoint), done);
  return done;
}

// Its address is free when the link is gone, not before.
Status NetworkManager::disconnect_claimed(const Change& change, bool tell, const Call& call) {
  if (!tell) {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kBootScoped, call));
    POUCH_RETURN_IF_ERROR(network::set_endpoint_state(transaction, change.endpoint, "leaving"));
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  const Status removed = leave(change, call);
  if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
  const Status refreshed = refresh(change.place);
  if (!refreshed.is_ok() && refreshed.code() != Code::kNotFound) return refreshed;
  const Status adjusted = adjust_way_out(change, call);
  if (!adjusted.is_ok() && adjusted.code() != Code::kNotFound) return adjusted;
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_ASSIGN_OR_RETURN(const auto there,
                         network::find_endpoint(transaction, change.network.id, change.place.id));
  if (there) {
    // Its run may have ended meanwhile, and told of it.
    const bool same = there->endpoint_id == change.endpoint.endpoint_id;
    if (tell) {
      POUCH_RETURN_IF_ERROR(forget_place(transaction, change));
      if (same)
        POUCH_RETURN_IF_ERROR(append_event(transaction, change.network, "disconnect", change.place.id));
    } else if (same) {
      POUCH_RETURN_IF_ERROR(network::delete_endpoint(transaction, change.network.id, change.place.id));
    }
  }
  POUCH_RETURN_IF_ERROR(
      network::drop_intent(transaction, network::kEndpointKind, network::endpoint_key(change.endpoint)));
  return transaction.commit();
}

Status NetworkManager::disconnect(const std::string& reference, const api::NetworkDisconnectConfig& config,
                                  const Call& call) {
  const std::string container = config.container.value_or("");
  if (container.empty()) return invalid_argument("Container: no container is given");
  return detached<Status>(call, [this, reference, container, call]() -> Status {
    while (true) {
      const auto change = begin_disconnect(reference, container, own_call());
      if (change.code() == Code::kUnavailable) {
        POUCH_RETURN_IF_ERROR(wait_for_others(container, call));
        continue;
      }
      if (!change.is_ok()) return change.status();
      if (!*change) return {};
      const Status done = finish_disconnect(**change, true, own_call());
      return done.prefix("disconnect container " + (*change)->place.name + " from network " +
                         (*change)->network.name);
    }
  });
}

// To the network that leads out now.
Status NetworkManager::move_ports(const ContainerPlace& place, NetworkPlan plan) {
  const auto targets = network::port_targets(plan);
  const bool has_ports = std::any_of(plan.ports.begin(), plan.ports.end(),
                                     [](const PublishedPort& port) { return !port.is_not_ours(); });
  if (!network::publishes(place.host) || (targets.empty() && !has_ports)) return {};
  // Its plugin has published them, and goes on.
  if (plan.ports.empty() && std::any_of(plan.legs.begin(), plan.legs.end(), is_published_by_plugin))
    return {};
  network::mark_hairpins(plan);
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  for (const NetworkLeg& leg : plan.legs) {
    if (!leg.is_hairpin) continue;
    POUCH_ASSIGN_OR_RETURN(const sys::Link port, links.find(leg.veth));
    POUCH_RETURN_IF_ERROR(links.set_hairpin(port.index));
  }
  POUCH_ASSIGN_OR_RETURN(plan.ports,
                         ports_.move(place.id, place.generation, place.host, targets, own_call()));
  return publish(plan, own_call());
}

Status NetworkManager::refresh(const ContainerPlace& place) {
  NetworkPlan plan;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(plan, plan_of(snapshot, place.id, place.generation, place.host));
  }
  POUCH_ASSIGN_OR_RETURN(const UniqueFd netns,
                         sys::open_net_namespace(netns_path(place.id, place.generation)));
  const auto set_routes = [&plan]() -> Status {
    POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
    for (const NetworkLeg& leg : plan.legs) POUCH_RETURN_IF_ERROR(network::set_default_routes(links, leg));
    return {};
  };
  POUCH_RETURN_IF_ERROR(sys::in_net_namespace(netns.get(), set_routes));
  POUCH_RETURN_IF_ERROR(move_ports(place, plan));
  return containers_->write_hosts(place.id, plan);
}

}  // namespace pouch
