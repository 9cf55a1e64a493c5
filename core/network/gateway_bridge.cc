// The bridge by which containers get out that are in networks of plugins alone, and none of these leads out:
// as Docker's docker_gwbridge. Such an endpoint is of a run; inspect does not show it.

#include <algorithm>

#include "core/network/legs.h"
#include "core/network/network_manager.h"
#include "core/sys/net_namespace.h"

namespace pouch {

using network::EndpointRow;
using network::NetworkRow;

namespace {

constexpr const char* kName = "docker_gwbridge";
constexpr int kAttempts = 20;  // against others that make it or take it down

}  // namespace

// Its id. Containers in it do not reach each other.
Result<std::string> NetworkManager::ensure_gateway_bridge(const Call& call) {
  api::NetworkCreateConfig config;
  config.name = kName;
  config.options = network::Texts{{"com.docker.network.bridge.enable_icc", "false"}};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::optional<NetworkRow> found;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
      POUCH_ASSIGN_OR_RETURN(found, network::find_network(snapshot, kName));
    }
    if (found && found->state.empty()) return found->id;
    if (!found) {
      POUCH_ASSIGN_OR_RETURN(const NetworkRow row, new_row(config));
      const auto made = create_new(row, "");
      if (made.is_ok()) return made->id;
      if (made.code() != Code::kAlreadyExists) return made.status();
    }
    POUCH_RETURN_IF_ERROR(wait_for_others(kName, call));
  }
  return unavailable(std::string("the network ") + kName + " is made and removed again and again");
}

// False: not just now. AlreadyExists: it is there.
Result<bool> NetworkManager::try_join_gateway(const std::string& network_id, const ContainerId& id,
                                              int64_t generation, const std::string& state,
                                              const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(auto row, network::load_network(transaction, network_id));
  if (!row || !row->state.empty() || row->up_boot != context_.boot_id) return false;
  POUCH_ASSIGN_OR_RETURN(auto endpoint, network::find_endpoint(transaction, network_id, id));
  if (endpoint && endpoint->is_running()) {
    if (!endpoint->state.empty()) return false;
    return Status(Code::kAlreadyExists, "the container is in " + row->name);
  }
  if (!endpoint) {
    endpoint.emplace();
    endpoint->network_id = network_id;
    endpoint->container_id = id;
    endpoint->settings_json = network::kLastResort;
    POUCH_RETURN_IF_ERROR(network::insert_endpoint(transaction, *endpoint, {}));
  }
  POUCH_ASSIGN_OR_RETURN(const auto siblings, network::endpoints_of(transaction, id));
  endpoint->state = state;
  POUCH_RETURN_IF_ERROR(give_addresses(transaction, *row, *endpoint, generation, siblings));
  POUCH_RETURN_IF_ERROR(state.empty() ? append_event(transaction, *row, "connect", id)
                                      : network::put_intent(transaction, network::kEndpointKind,
                                                            network::endpoint_key(*endpoint),
                                                            context_.owner_token, "{}"));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return true;
}

Result<std::string> NetworkManager::join_gateway(const ContainerId& id, int64_t generation,
                                                 const std::string& state, const Call& call) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    POUCH_ASSIGN_OR_RETURN(const std::string network_id, ensure_gateway_bridge(call));
    const Status up = bring_up(network_id, call);
    if (up.code() == Code::kNotFound) continue;
    POUCH_RETURN_IF_ERROR(up);
    POUCH_ASSIGN_OR_RETURN(const bool joined, try_join_gateway(network_id, id, generation, state, call));
    if (joined) return network_id;
    POUCH_RETURN_IF_ERROR(wait_for_others(id.str(), call));
  }
  return unavailable(std::string("the network ") + kName + " is taken down again and again");
}

Status NetworkManager::adjust_way_out(const Change& change, const Call& call) {
  if (change.endpoint.is_last_resort()) return {};
  const ContainerPlace& place = change.place;
  NetworkPlan plan;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(plan, plan_of(snapshot, place.id, place.generation, place.host));
  }
  bool is_wanted = false;
  bool is_there = false;
  for (const NetworkLeg& leg : plan.legs) {
    is_wanted = is_wanted || leg.wants_way_out;
    is_there = is_there || leg.is_last_resort;
  }
  if (is_there && !is_wanted) return leave_gateway(place, call);
  if (!network::lacks_way_out(plan)) return {};
  const auto network_id = join_gateway(place.id, place.generation, "joining", call);
  if (network_id.code() == Code::kAlreadyExists) return {};
  if (!network_id.is_ok()) return network_id.status();
  POUCH_ASSIGN_OR_RETURN(const Change gateway, gateway_of(*network_id, place));
  const Status joined = finish_connect(gateway, call);
  if (!joined.is_ok()) undo_connect(gateway, call).ignore();  // the endpoint's intent is still there
  return joined;
}

Result<NetworkManager::Change> NetworkManager::gateway_of(const std::string& network_id,
                                                          const ContainerPlace& place) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(auto row, network::load_network(snapshot, network_id));
  POUCH_ASSIGN_OR_RETURN(auto endpoint, network::find_endpoint(snapshot, network_id, place.id));
  if (!row || !endpoint) return conflict("it has ended meanwhile");
  return Change{std::move(*row), std::move(*endpoint), place};
}

Status NetworkManager::leave_gateway(const ContainerPlace& place, const Call& call) {
  std::optional<EndpointRow> endpoint;
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kBootScoped, call));
    POUCH_ASSIGN_OR_RETURN(const auto rows, network::endpoints_of(transaction, place.id));
    const auto found = std::find_if(rows.begin(), rows.end(), [](const EndpointRow& row) {
      return row.is_last_resort() && row.is_running() && row.state.empty();
    });
    if (found == rows.end()) return {};
    endpoint = *found;
    POUCH_RETURN_IF_ERROR(network::set_endpoint_state(transaction, *endpoint, "leaving"));
    POUCH_RETURN_IF_ERROR(network::put_intent(transaction, network::kEndpointKind,
                                              network::endpoint_key(*endpoint), context_.owner_token, "{}"));
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  POUCH_ASSIGN_OR_RETURN(const Change change, gateway_of(endpoint->network_id, place));
  return finish_disconnect(change, true, call);
}

}  // namespace pouch
