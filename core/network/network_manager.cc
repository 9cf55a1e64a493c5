#include "core/network/network_manager.h"

#include <algorithm>
#include <utility>

#include "core/api/codec.h"
#include "core/base/text.h"
#include "core/events/event_log.h"
#include "core/network/endpoint_options.h"
#include "core/network/firewall_warnings.h"
#include "core/network/ipam.h"
#include "core/network/legs.h"
#include "core/network/mode.h"
#include "core/network/name_lookup.h"
#include "core/network/options.h"
#include "core/network/plugged.h"
#include "core/network/sub_links.h"

namespace pouch {

using network::EndpointRow;
using network::NetworkRow;
using network::Place;

namespace {

constexpr int kAttachAttempts = 10;  // against one that is taken down again and again
constexpr size_t kShortId = 12;

bool is_default_bridge(const NetworkRow& row) {
  return row.name == network::kBridgeName;
}

std::string intent_data(const std::string& netns_path) {
  Json data = json_object();
  data["netns"] = netns_path;
  return write_json(data);
}

// The container's name first, as in DNSNames.
std::vector<std::string> names_for(const NewContainer& container, const api::EndpointSettings& asked) {
  std::vector<std::string> names{container.name};
  const auto add = [&](const std::string& name) {
    const bool is_new = std::find(names.begin(), names.end(), name) == names.end();
    if (!name.empty() && is_new) names.push_back(name);
  };
  for (const std::string& alias : asked.aliases.value_or(std::vector<std::string>{})) add(alias);
  add(container.id.str().substr(0, kShortId));
  add(container.hostname);
  return names;
}

Status check_place(const NetworkRow& row, const api::EndpointSettings& asked) {
  if (row.config_only) {
    return {Code::kPermissionDenied, "cannot create endpoint on configuration-only network"};
  }
  const api::EndpointIPAMConfig ipam = asked.ipam_config.value_or(api::EndpointIPAMConfig{});
  if (!network::is_plugin_driver(row.driver)) {
    POUCH_RETURN_IF_ERROR(network::endpoint_options(asked).status());
  }
  if (row.driver == network::kIpvlan && !asked.mac_address.value_or("").empty()) {
    return invalid_argument("ipvlan interfaces do not support custom mac address assignment");
  }
  if (is_default_bridge(row)) {
    if (!ipam.ipv4_address.value_or("").empty() || !ipam.ipv6_address.value_or("").empty()) {
      return invalid_argument("user specified IP address is supported on user defined networks only");
    }
    if (asked.aliases && !asked.aliases->empty()) {
      return invalid_argument(
          "network-scoped alias is supported only for containers in user defined networks");
    }
  }
  return network::check_addresses(row, asked);
}

Result<std::string> link_name(const NetworkRow& row, const api::EndpointSettings& asked,
                              const std::string& prefix, const std::vector<EndpointRow>& siblings) {
  if (network::is_plugin_driver(row.driver)) return network::free_link_name(prefix, siblings);
  POUCH_ASSIGN_OR_RETURN(const network::EndpointOptions own, network::endpoint_options(asked));
  if (own.link.empty()) return network::free_link_name(prefix, siblings);
  const bool taken = std::any_of(siblings.begin(), siblings.end(),
                                 [&](const EndpointRow& other) { return other.link == own.link; });
  if (!taken) return own.link;
  return invalid_argument("interface name " + quote(own.link) + " is already in use by the container");
}

}  // namespace

std::vector<std::string> NetworkManager::warnings(const api::HostConfig& host) {
  std::vector<std::string> out = network::port_warnings(host);
  if (!network::has_own_links(host)) return out;
  std::string device = network::bridge_name(context_.root_id);
  const std::string mode = network::mode_of(host);
  if (mode != network::kBridgeName) {
    auto snapshot = context_.db->read();
    if (!snapshot.is_ok()) return out;
    const auto row = network::resolve_network(*snapshot, mode);
    if (!row.is_ok() || row->driver != "bridge" || row->internal) return out;
    device = row->device;
  }
  for (std::string& warning : network::firewall_warnings(mode, device, network::publishes(host)))
    out.push_back(std::move(warning));
  return out;
}

Status NetworkManager::insert_place(store::Session& session, const NetworkRow& row,
                                    const NewContainer& container, const api::EndpointSettings& asked) {
  POUCH_RETURN_IF_ERROR(check_place(row, asked));
  EndpointRow endpoint;
  endpoint.network_id = row.id;
  endpoint.container_id = container.id;
  endpoint.settings_json = api::to_json_text(asked);
  const auto names = is_default_bridge(row) ? std::vector<std::string>() : names_for(container, asked);
  return network::insert_endpoint(session, endpoint, names);
}

// InvalidArgument: NotFound would be the image's, for those who create a container.
Status NetworkManager::check_links(store::Session& session, const api::HostConfig& host) {
  for (const std::string& link : host.links.value_or(std::vector<std::string>{})) {
    const std::string name = network::parse_link(link).first;
    const auto other = containers_->find(session, name);
    if (other.code() == Code::kNotFound)
      return invalid_argument("could not get container for " + name + ": " + other.status().message());
    if (!other.is_ok()) return other.status();
  }
  return {};
}

Status NetworkManager::add_endpoints(store::Session& session, const NewContainer& container,
                                     const api::HostConfig& host, const EndpointRequests& requests) {
  const std::string mode = network::mode_of(host);
  POUCH_ASSIGN_OR_RETURN(const NetworkRow bridge, bridges_.ensure_default(session));
  if (mode == bridge.name || !network::has_own_links(host)) POUCH_RETURN_IF_ERROR(check_links(session, host));
  std::map<std::string, std::pair<NetworkRow, api::EndpointSettings>> places;  // by id
  if (network::has_own_links(host)) {
    POUCH_ASSIGN_OR_RETURN(NetworkRow row, mode == bridge.name ? Result<NetworkRow>(bridge)
                                                               : network::resolve_network(session, mode));
    places[row.id].first = std::move(row);
  }
  for (const auto& [name, asked] : requests) {
    if (name == mode && !network::has_own_links(host)) continue;
    POUCH_ASSIGN_OR_RETURN(NetworkRow row, network::resolve_network(session, name));
    POUCH_RETURN_IF_ERROR(network::check_mode(host, row));
    // The same network under its name and its id: one of them says something.
    const bool is_empty = api::to_json_text(asked) == "{}";
    if (is_empty && places.contains(row.id)) continue;
    places[row.id] = {row, asked};
  }
  for (const auto& [id, place] : places) {
    POUCH_RETURN_IF_ERROR(insert_place(session, place.first, container, place.second));
  }
  return {};
}

Status NetworkManager::append_event(store::Transaction& transaction, const NetworkRow& network,
                                    const std::string& action, const ContainerId& container) {
  events::Event event;
  event.type = "network";
  event.action = action;
  event.actor_id = network.id;
  event.attributes = {{"name", network.name}, {"type", network.driver}};
  if (!container.str().empty()) event.attributes["container"] = container.str();
  return context_.events->append(transaction, std::move(event)).status();
}

Status NetworkManager::give_addresses(store::Session& session, NetworkRow& row, EndpointRow& endpoint,
                                      int64_t generation, const std::vector<EndpointRow>& siblings) {
  POUCH_ASSIGN_OR_RETURN(const api::EndpointSettings asked, endpoint.settings());
  POUCH_ASSIGN_OR_RETURN(const network::BridgeOptions options, network::bridge_options(row.options));
  endpoint.endpoint_id = new_object_id();
  endpoint.generation = generation;
  endpoint.boot_id = context_.boot_id;
  POUCH_ASSIGN_OR_RETURN(endpoint.link, link_name(row, asked, options.link_prefix, siblings));
  POUCH_RETURN_IF_ERROR(network::assign_addresses(session, row, asked, endpoint));
  if (row.driver == network::kIpvlan) endpoint.mac.clear();  // its parent's
  const std::string sandbox = network::sandbox_key(endpoint.container_id, generation);
  POUCH_RETURN_IF_ERROR(
      plugs_.intend(session, row, endpoint, sandbox, netns_path(endpoint.container_id, generation)));
  return network::set_running(session, endpoint);
}

Result<std::vector<std::pair<std::string, std::string>>> NetworkManager::links_of(store::Session& session,
                                                                                  const NetworkRow& row,
                                                                                  const api::HostConfig& host,
                                                                                  bool strict) {
  std::vector<std::pair<std::string, std::string>> out;
  // Elsewhere the name server knows them (name_lookup.h).
  if (!is_default_bridge(row)) return out;
  for (const std::string& link : host.links.value_or(std::vector<std::string>{})) {
    const auto [name, alias] = network::parse_link(link);
    const auto other = containers_->find(session, name);
    if (!other.is_ok() && (strict || other.code() != Code::kNotFound)) return other.status();
    if (!other.is_ok()) continue;
    POUCH_ASSIGN_OR_RETURN(const auto there, network::find_endpoint(session, row.id, other->id));
    if (!there || !there->is_running()) {
      if (!strict) continue;  // its name is unknown until it runs
      return invalid_argument("Cannot link to a non running container: /" + other->name + " AS " + alias);
    }
    std::string names = alias;
    for (const std::string& more : {other->id.str().substr(0, kShortId), other->name}) {
      if (more != alias) names += " " + more;
    }
    out.emplace_back(there->address.empty() ? there->address6 : there->address, names);
  }
  return out;
}

Result<NetworkPlan> NetworkManager::plan_of(store::Session& session, const ContainerId& id,
                                            int64_t generation, const api::HostConfig& host, bool strict) {
  NetworkPlan plan;
  plan.netns_path = netns_path(id, generation);
  POUCH_ASSIGN_OR_RETURN(std::vector<EndpointRow> rows, network::endpoints_of(session, id));
  // As they were numbered, and so as they were joined.
  std::sort(rows.begin(), rows.end(), [](const EndpointRow& a, const EndpointRow& b) {
    return std::pair(a.link.size(), a.link) < std::pair(b.link.size(), b.link);
  });
  std::vector<Place> places;
  for (EndpointRow& row : rows) {
    if (!row.is_running() || row.state == "leaving") continue;
    POUCH_ASSIGN_OR_RETURN(auto network, network::load_network(session, row.network_id));
    if (!network) continue;
    POUCH_ASSIGN_OR_RETURN(api::EndpointSettings asked, row.settings());
    POUCH_ASSIGN_OR_RETURN(auto links, links_of(session, *network, host, strict));
    std::move(links.begin(), links.end(), std::back_inserter(plan.links));
    plan.has_names = plan.has_names || !is_default_bridge(*network);
    plan.has_plugins = plan.has_plugins || network::has_plugin(*network);
    places.push_back({std::move(*network), std::move(row), std::move(asked)});
  }
  POUCH_ASSIGN_OR_RETURN(plan.legs, network::legs_of(context_.root_id, places));
  POUCH_ASSIGN_OR_RETURN(plan.ports, network::ports_of(session, id, generation));
  if (!plan.ports.empty()) network::mark_hairpins(plan);
  return plan;
}

// The id of a network that is down, or "" when it is done.
Result<std::string> NetworkManager::try_attach(const ContainerId& id, int64_t generation,
                                               const api::HostConfig& host, NetworkPlan& plan,
                                               const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(NetworkRow main, bridges_.ensure_default(transaction));
  if (const std::string mode = network::mode_of(host); mode != main.name) {
    POUCH_ASSIGN_OR_RETURN(main, network::resolve_network(transaction, mode));
  }
  POUCH_RETURN_IF_ERROR(network::set_ended(transaction, id, generation - 1).status());
  POUCH_ASSIGN_OR_RETURN(const auto first, network::find_endpoint(transaction, main.id, id));
  if (!first) {  // created by a build that knew no networks, or the network was made anew
    POUCH_ASSIGN_OR_RETURN(const ContainerPlace place, containers_->find(transaction, id.str()));
    POUCH_RETURN_IF_ERROR(insert_place(transaction, main, {id, place.name, place.hostname}, {}));
  }
  POUCH_ASSIGN_OR_RETURN(std::vector<EndpointRow> rows, network::endpoints_of(transaction, id));
  std::stable_partition(rows.begin(), rows.end(),
                        [&](const EndpointRow& row) { return row.network_id == main.id; });
  std::vector<NetworkRow> networks;
  for (const EndpointRow& row : rows) {
    POUCH_ASSIGN_OR_RETURN(auto network, network::load_network(transaction, row.network_id));
    if (!network || !network->state.empty()) return not_found("network " + row.network_id + " not found");
    if (network->up_boot != context_.boot_id) {
      POUCH_RETURN_IF_ERROR(transaction.commit());
      return network->id;
    }
    networks.push_back(std::move(*network));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    POUCH_RETURN_IF_ERROR(give_addresses(transaction, networks[i], rows[i], generation, rows));
    POUCH_RETURN_IF_ERROR(append_event(transaction, networks[i], "connect", id));
  }
  POUCH_ASSIGN_OR_RETURN(plan, plan_of(transaction, id, generation, host, true));
  POUCH_RETURN_IF_ERROR(network::put_intent(transaction, network::kSandboxKind,
                                            network::sandbox_key(id, generation), context_.owner_token,
                                            intent_data(plan.netns_path)));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return std::string();
}

Status NetworkManager::join_another(const api::HostConfig& host, const ContainerId& self, NetworkPlan& plan) {
  constexpr int kMaxChain = 16;
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  std::string reference = network::joined_container(host);
  for (int depth = 0; depth < kMaxChain; ++depth) {
    POUCH_ASSIGN_OR_RETURN(const ContainerPlace other, containers_->find(snapshot, reference));
    if (other.id == self) return invalid_argument("cannot join own network");
    if (other.state != "running" || other.boot_id != context_.boot_id) {
      return conflict("cannot join network of a non running container: " + other.id.str());
    }
    reference = network::joined_container(other.host);
    if (!reference.empty()) continue;
    plan.shared_with = other.id;
    plan.is_host = network::mode_of(other.host) == "host";
    if (plan.is_host) return {};
    plan.netns_path = network::has_own_links(other.host) ? netns_path(other.id, other.generation)
                                                         : "/proc/" + std::to_string(other.pid) + "/ns/net";
    return {};
  }
  return invalid_argument("HostConfig.NetworkMode: too many containers that join each other");
}

Status NetworkManager::claim_ports(const ContainerId& id, int64_t generation, const api::HostConfig& host,
                                   NetworkPlan& plan, const Call& call) {
  const std::vector<network::PortTarget> targets = network::port_targets(plan);
  if (targets.empty()) return {};  // nothing leads out, and so nothing in, as with Docker
  POUCH_ASSIGN_OR_RETURN(plan.ports, ports_.claim(id, generation, host, targets, call));
  if (!plan.ports.empty()) network::mark_hairpins(plan);
  return {};
}

Result<NetworkPlan> NetworkManager::attach(const ContainerId& id, int64_t generation,
                                           const api::HostConfig& host, const Call& call) {
  NetworkPlan plan;
  if (!network::joined_container(host).empty()) {
    POUCH_RETURN_IF_ERROR(join_another(host, id, plan));
    return plan;
  }
  plan.is_host = network::mode_of(host) == "host";
  if (!network::has_own_links(host)) return plan;
  for (int attempt = 0; attempt < kAttachAttempts; ++attempt) {
    POUCH_ASSIGN_OR_RETURN(const std::string down, try_attach(id, generation, host, plan, call));
    if (down.empty()) {
      POUCH_RETURN_IF_ERROR(plan.has_plugins ? attach_plugins(id, generation, host, plan, call)
                                             : claim_ports(id, generation, host, plan, call));
      return plan;
    }
    POUCH_RETURN_IF_ERROR(bring_up(down, call));
  }
  return unavailable("the network " + network::mode_of(host) + " is taken down again and again");
}

Status NetworkManager::detach(store::Transaction& transaction, const ContainerId& id, int64_t generation) {
  POUCH_ASSIGN_OR_RETURN(const auto networks, network::set_ended(transaction, id, generation));
  for (const std::string& network_id : networks) {
    POUCH_ASSIGN_OR_RETURN(const auto row, network::load_network(transaction, network_id));
    if (row) POUCH_RETURN_IF_ERROR(append_event(transaction, *row, "disconnect", id));
  }
  return {};
}

Result<NetworkView> NetworkManager::view(store::Session& session, const ContainerId& id, int64_t generation,
                                         const api::HostConfig& host) {
  NetworkView out;
  if (!network::joined_container(host).empty()) return out;
  const std::string mode = network::mode_of(host);
  if (!network::has_own_links(host)) {
    out.networks[mode];
    return out;
  }
  POUCH_ASSIGN_OR_RETURN(const std::vector<EndpointRow> rows, network::endpoints_of(session, id));
  for (const EndpointRow& row : rows) {
    POUCH_ASSIGN_OR_RETURN(const auto network, network::load_network(session, row.network_id));
    if (!network || row.is_last_resort()) continue;
    POUCH_ASSIGN_OR_RETURN(api::EndpointSettings asked, row.settings());
    POUCH_ASSIGN_OR_RETURN(const auto names, network::names_of(session, row.network_id, id));
    Place place{*network, row, std::move(asked)};
    if (row.boot_id != context_.boot_id) place.endpoint.endpoint_id.clear();
    out.networks[network->name] = network::shown_settings(place, names);
    if (place.endpoint.is_running()) out.sandbox_key = netns_path(id, generation);
  }
  if (!out.sandbox_key.empty()) {
    const std::string key = network::sandbox_key(id, generation);
    out.sandbox_id = sha256_digest(key).substr(sizeof "sha256:" - 1);
    POUCH_ASSIGN_OR_RETURN(out.ports, network::ports_of(session, id, generation));
  }
  return out;
}

Status NetworkManager::take_down_idle(const Call& call) {
  // No keeper serves any more: it is this one, whose sockets go with it.
  holds_ports_ = true;
  POUCH_RETURN_IF_ERROR(ports_.free_ended(call, false));
  POUCH_RETURN_IF_ERROR(sweep(call));
  return bridges_.take_down_idle(call);
}

}  // namespace pouch
