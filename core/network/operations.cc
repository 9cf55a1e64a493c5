// create, list, inspect, remove, prune.

#include <algorithm>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/events/event_log.h"
#include "core/network/create_config.h"
#include "core/network/ipam.h"
#include "core/network/legs.h"
#include "core/network/list_filter.h"
#include "core/network/mode.h"
#include "core/network/network_manager.h"
#include "core/network/options.h"
#include "core/network/plugged.h"
#include "core/network/sub_links.h"
#include "core/store/session_objects.h"

namespace pouch {

using network::NetworkRow;

namespace {

constexpr int64_t kStepMs = 60'000;

Call own_call() {
  return Call{Deadline::after_ms(kStepMs), nullptr, {}};
}

api::IPAM shown_ipam(const NetworkRow& row) {
  api::IPAM out;
  out.driver = row.ipam_driver.empty() ? "default" : row.ipam_driver;
  if (row.ipam_options) out.options = *row.ipam_options;
  if ((row.driver == "host" || row.driver == "null") && !row.config_only) return out;
  std::vector<api::IPAMConfig> pools;
  for (const network::PoolRow& pool : row.pools) {
    api::IPAMConfig shown;
    shown.subnet = pool.subnet;
    if (!pool.gateway.empty()) shown.gateway = pool.gateway;
    if (!pool.ip_range.empty()) shown.ip_range = pool.ip_range;
    if (!pool.aux.empty()) shown.auxiliary_addresses = pool.aux;
    pools.push_back(std::move(shown));
  }
  out.config = std::move(pools);
  return out;
}

std::string endpoints_text(const std::vector<network::Member>& members) {
  std::string text;
  for (const network::Member& member : members) {
    text += (text.empty() ? "" : ", ");
    text += "name:\"" + member.container_name + "\" id:\"" + member.endpoint.endpoint_id.substr(0, 12) + "\"";
  }
  return text;
}

}  // namespace

Status NetworkManager::ensure_predefined(const Call& call) {
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto last, network::find_network(snapshot, "none"));
    if (last) return {};
  }
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_RETURN_IF_ERROR(bridges_.ensure_default(transaction).status());
  return transaction.commit();
}

Result<api::Network> NetworkManager::describe(store::Session& session, const NetworkRow& row, bool members) {
  api::Network out;
  out.name = row.name;
  out.id = row.id;
  out.created = row.created;
  out.scope = "local";
  out.driver = row.driver;
  out.enable_ipv4 = row.ipv4;
  out.enable_ipv6 = row.ipv6;
  out.ipam = shown_ipam(row);
  out.internal = row.internal;
  out.attachable = row.attachable;
  out.options = row.options;
  out.labels = row.labels;
  out.config_only = row.config_only;
  out.config_from.network = row.config_from;
  std::map<std::string, api::NetworkContainer> containers;
  if (members) {
    POUCH_ASSIGN_OR_RETURN(const auto there, network::running_members(session, row.id, context_.boot_id));
    for (const network::Member& member : there) {
      api::NetworkContainer& shown = containers[member.endpoint.container_id.str()];
      shown.name = member.container_name;
      shown.endpoint_id = member.endpoint.endpoint_id;
      shown.mac_address = member.endpoint.mac;
      shown.ipv4_address = network::full_address(row, member.endpoint, true);
      shown.ipv6_address = network::full_address(row, member.endpoint, false);
    }
  }
  out.containers = std::move(containers);
  return out;
}

Result<std::vector<api::Network>> NetworkManager::list(const api::NetworkListOptions& options,
                                                       const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const auto filter,
                         network::ListFilter::parse(options.filters.value_or(FilterMap{})));
  POUCH_RETURN_IF_ERROR(ensure_predefined(call));
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(const auto rows, network::all_networks(snapshot));
  std::vector<api::Network> out;
  for (const NetworkRow& row : rows) {
    POUCH_ASSIGN_OR_RETURN(const auto members, network::running_members(snapshot, row.id, context_.boot_id));
    const bool dangling = members.empty() && !network::is_predefined(row.name);
    if (!filter.matches(row, network::is_predefined(row.name), dangling)) continue;
    POUCH_ASSIGN_OR_RETURN(api::Network shown, describe(snapshot, row, false));
    out.push_back(std::move(shown));
  }
  return out;
}

Result<api::Network> NetworkManager::inspect(const std::string& reference,
                                             const api::NetworkInspectOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::string scope = options.scope.value_or("");
  if (!scope.empty() && scope != "local") return not_found("network " + reference + " not found");
  POUCH_RETURN_IF_ERROR(ensure_predefined(call));
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(const NetworkRow row, network::resolve_network(snapshot, reference));
  return describe(snapshot, row, true);
}

// The row in state creating is the intent: whoever finds it without a living owner undoes it.
Status NetworkManager::insert_new(NetworkRow& row, const std::string& session, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(bridges_.ensure_default(transaction).status());
  POUCH_ASSIGN_OR_RETURN(const auto holder, network::find_network(transaction, row.name));
  if (holder) return {Code::kAlreadyExists, "network with name " + row.name + " already exists"};
  POUCH_ASSIGN_OR_RETURN(const auto all, network::all_networks(transaction, true));
  for (const NetworkRow& other : all) {
    if (other.driver != "bridge" || other.device != row.device) continue;
    return {Code::kPermissionDenied, "cannot create network " + row.id + " (" + row.device +
                                         "): conflicts with network " + other.id + " (" + other.device +
                                         "): networks have same bridge name"};
  }
  POUCH_RETURN_IF_ERROR(network::check_parent(row, all));
  network::share_device(row, all);
  POUCH_ASSIGN_OR_RETURN(const auto others, network::subnets_of_networks(transaction, row.id));
  if (!row.config_only) POUCH_RETURN_IF_ERROR(network::check_overlaps(row, others));
  POUCH_RETURN_IF_ERROR(network::insert_network(transaction, row));
  POUCH_RETURN_IF_ERROR(store::claim_for_session(transaction, session, store::kind::kNetwork, row.id));
  POUCH_RETURN_IF_ERROR(
      network::put_intent(transaction, network::kNetworkKind, row.id, context_.owner_token, "{}"));
  return transaction.commit();
}

// Before plugins are asked; insert_new() has the last word.
Status NetworkManager::check_free(const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(const auto holder, network::find_network(snapshot, name));
  return holder ? Status(Code::kAlreadyExists, "network with name " + name + " already exists") : Status();
}

Status NetworkManager::finish_create(const NetworkRow& row, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_ASSIGN_OR_RETURN(const bool ours,
                         network::set_state(transaction, row.id, network::state::kCreating, ""));
  if (!ours) return internal_error("its row is gone");
  POUCH_RETURN_IF_ERROR(network::drop_intent(transaction, network::kNetworkKind, row.id));
  POUCH_RETURN_IF_ERROR(append_event(transaction, row, "create", {}));
  return transaction.commit();
}

Result<NetworkRow> NetworkManager::new_row(const api::NetworkCreateConfig& config) {
  const std::string base = config.config_from ? config.config_from->network : "";
  if (base.empty()) return network::row_of(config, nullptr, context_.root_id);
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(const auto found, network::find_network(snapshot, base));
  if (found && found->config_only && found->state.empty()) {
    return network::row_of(config, &*found, context_.root_id);
  }
  return not_found("configuration network " + quote(base) + " does not exist");
}

Result<api::NetworkCreateResult> NetworkManager::create(const api::NetworkCreateConfig& config,
                                                        const Call& call) {
  POUCH_ASSIGN_OR_RETURN(NetworkRow row, new_row(config));
  using Answer = Result<api::NetworkCreateResult>;
  return detached<Answer>(call, [this, row, session = call.session]() mutable -> Answer {
    POUCH_RETURN_IF_ERROR(check_free(row.name));
    POUCH_RETURN_IF_ERROR(plugs_.check(row, own_call()));
    POUCH_RETURN_IF_ERROR(plugs_.take_pools(row, own_call()));
    return create_new(row, session);
  });
}

Result<api::NetworkCreateResult> NetworkManager::create_new(NetworkRow row, const std::string& session) {
  if (const Status inserted = insert_new(row, session, own_call()); !inserted.is_ok()) {
    plugs_.give_back_pools(row, own_call());
    return inserted;
  }
  Status made = bring_up(row.id, own_call());
  if (made.is_ok()) made = plugs_.create(row, own_call());
  if (made.is_ok()) made = finish_create(row, own_call());
  if (!made.is_ok()) {
    const Status undone = finish_removal(row, false, own_call());
    if (!undone.is_ok()) log_warning("network", "undo a create: " + undone.message());
    return made.prefix("create network " + quote(row.name));
  }
  return api::NetworkCreateResult{row.id, ""};
}

Status NetworkManager::claim_removal(NetworkRow& row, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(const auto found, network::load_network(transaction, row.id));
  if (!found || !found->state.empty()) return not_found("network " + row.name + " not found");
  row = *found;
  POUCH_ASSIGN_OR_RETURN(const auto members, network::running_members(transaction, row.id, context_.boot_id));
  if (!members.empty()) {
    return {Code::kPermissionDenied, "error while removing network: network " + row.name +
                                         " has active endpoints (" + endpoints_text(members) + ")"};
  }
  POUCH_ASSIGN_OR_RETURN(const bool is_base, network::is_base(transaction, row));
  if (is_base)
    return {Code::kPermissionDenied,
            "error while removing network: configuration network " + quote(row.name) + " is in use"};
  POUCH_RETURN_IF_ERROR(network::set_state(transaction, row.id, "", network::state::kRemoving).status());
  POUCH_RETURN_IF_ERROR(
      network::put_intent(transaction, network::kNetworkKind, row.id, context_.owner_token, "{}"));
  return transaction.commit();
}

Status NetworkManager::finish_removal(const NetworkRow& row, bool tell, const Call& call) {
  const Status removed = remove_claimed(row, tell, call);
  sweeper_.note_end(row.id, removed);
  return removed;
}

Status NetworkManager::remove_claimed(const NetworkRow& row, bool tell, const Call& call) {
  POUCH_RETURN_IF_ERROR(plugs_.remove(row, call));
  POUCH_RETURN_IF_ERROR(bridges_.take_down(row, call));
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_ASSIGN_OR_RETURN(const auto there, network::load_network(transaction, row.id));
  if (!there) return {};  // another has finished it
  POUCH_RETURN_IF_ERROR(network::delete_network(transaction, row.id));
  POUCH_RETURN_IF_ERROR(network::drop_intent(transaction, network::kNetworkKind, row.id));
  if (tell) POUCH_RETURN_IF_ERROR(append_event(transaction, row, "destroy", {}));
  return transaction.commit();
}

Status NetworkManager::remove(const std::string& reference, const Call& call) {
  return detached<Status>(call, [this, reference]() -> Status {
    POUCH_RETURN_IF_ERROR(ensure_predefined(own_call()));
    NetworkRow row;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
      POUCH_ASSIGN_OR_RETURN(row, network::resolve_network(snapshot, reference));
    }
    if (network::is_predefined(row.name)) {
      return {Code::kPermissionDenied, row.name + " is a pre-defined network and cannot be removed"};
    }
    POUCH_RETURN_IF_ERROR(plugs_.sweep(true, own_call()));
    POUCH_RETURN_IF_ERROR(plugs_.check_removal(row, own_call()));
    POUCH_RETURN_IF_ERROR(claim_removal(row, own_call()));
    return finish_removal(row, true, own_call());
  });
}

Result<api::NetworkPruneResult> NetworkManager::prune(const api::NetworkPruneOptions& options,
                                                      const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const auto filter,
                         network::PruneFilter::parse(options.filters.value_or(FilterMap{})));
  using Answer = Result<api::NetworkPruneResult>;
  return detached<Answer>(call, [this, filter]() -> Answer {
    std::vector<NetworkRow> unused;
    std::vector<NetworkRow> left;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
      POUCH_ASSIGN_OR_RETURN(const auto rows, network::all_networks(snapshot));
      for (const NetworkRow& row : rows) {
        POUCH_ASSIGN_OR_RETURN(const bool used, network::is_in_use(snapshot, row.id));
        const bool is_kept = used || network::is_predefined(row.name) || row.config_only;
        (!is_kept && filter.matches(row) ? unused : left).push_back(row);
      }
    }
    for (const NetworkRow& row : left) plugs_.collect(row, own_call());
    api::NetworkPruneResult result;
    std::vector<std::string> names;
    for (NetworkRow& row : unused) {
      const Status claimed = claim_removal(row, own_call());
      // Somebody needs it since, or has removed it.
      if (claimed.code() == Code::kPermissionDenied || claimed.code() == Code::kNotFound) continue;
      POUCH_RETURN_IF_ERROR(claimed);
      POUCH_RETURN_IF_ERROR(finish_removal(row, true, own_call()));
      names.push_back(row.name);
    }
    if (!names.empty()) result.networks_deleted = std::move(names);
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kKept, own_call()));
    events::Event event;
    event.type = "network";
    event.action = "prune";
    event.attributes["reclaimed"] = "0";
    POUCH_RETURN_IF_ERROR(context_.events->append(transaction, std::move(event)).status());
    POUCH_RETURN_IF_ERROR(transaction.commit());
    return result;
  });
}

Status NetworkManager::remove_of_session(const std::string& id, const Call& call) {
  constexpr int kRounds = 5;  // against containers that join meanwhile
  Status removed;
  for (int round = 0; round < kRounds; ++round) {
    removed = remove(id, call);
    if (removed.code() != Code::kPermissionDenied) break;
    std::vector<network::Member> members;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
      POUCH_ASSIGN_OR_RETURN(members, network::running_members(snapshot, id, context_.boot_id));
    }
    for (const network::Member& member : members) {
      api::NetworkDisconnectConfig config;
      config.container = member.endpoint.container_id.str();
      disconnect(id, config, call).ignore();
    }
  }
  return removed.code() == Code::kNotFound ? Status() : removed;
}

Status NetworkManager::remove_session(const std::string& session, const Call& call) {
  std::vector<std::string> ids;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(ids, store::objects_of_session(snapshot, session, store::kind::kNetwork));
  }
  if (ids.empty()) return {};
  POUCH_RETURN_IF_ERROR(sweep(call));  // what its client was making when it died
  Status first;
  for (const std::string& id : ids) {
    const Status removed = remove_of_session(id, call);
    if (first.is_ok()) first = removed;
  }
  return first;
}

}  // namespace pouch
