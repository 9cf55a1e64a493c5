#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/filters.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_state.h"

// Networks of no packets: names, members and made-up addresses.

namespace pouch {
namespace mock {
namespace {

constexpr int kSubnets = 250;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Four numbers and a prefix, or anything with colons: who made it of what is not the mock's affair.
bool is_subnet(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) return false;
  const std::string prefix = text.substr(slash + 1);
  const bool digits = std::all_of(prefix.begin(), prefix.end(), [](char c) { return c >= '0' && c <= '9'; });
  const std::string address = text.substr(0, slash);
  return digits && (address.find(':') != std::string::npos || split(address, '.').size() == 4);
}

api::Network plain(const std::string& name, const std::string& driver) {
  api::Network made;
  made.name = name;
  made.id = new_object_id();
  made.created = Timestamp::now();
  made.scope = "local";
  made.driver = driver;
  made.enable_ipv4 = true;
  made.ipam.driver = "default";
  made.containers = std::map<std::string, api::NetworkContainer>{};
  made.options = std::map<std::string, std::string>{};
  made.labels = std::map<std::string, std::string>{};
  return made;
}

}  // namespace

void State::ensure_networks() {
  if (!networks.empty()) return;
  for (const auto& [name, driver] :
       {std::pair("bridge", "bridge"), std::pair("host", "host"), std::pair("none", "null")}) {
    api::Network made = plain(name, driver);
    if (made.driver == "bridge") {
      made.id = std::string(64, 'b');
      made.ipam.config = std::vector<api::IPAMConfig>{{.subnet = "10.192.0.0/22", .gateway = "10.192.0.1"}};
    }
    networks[made.id] = std::move(made);
  }
}

Result<api::Network*> State::find_network(const std::string& reference) {
  ensure_networks();
  if (const auto at = networks.find(reference); at != networks.end()) return &at->second;
  std::vector<api::Network*> fitting;
  for (auto& [id, network] : networks) {
    if (network.name == reference) return &network;
    if (!reference.empty() && is_hex(reference) && id.starts_with(reference)) fitting.push_back(&network);
  }
  if (fitting.empty()) return not_found("network " + reference + " not found");
  if (fitting.size() > 1) return invalid_argument("network " + reference + " is ambiguous");
  return fitting.front();
}

bool is_predefined_network(const std::string& name) {
  return name == "bridge" || name == "host" || name == "none";
}

bool has_own_links(const std::string& mode) {
  return mode != "host" && mode != "none" && !mode.starts_with("container:");
}

void State::remove_network(const std::string& id) {
  const auto at = networks.find(id);
  if (at == networks.end()) return;
  for (auto& [other, container] : containers) container->endpoints.erase(at->second.name);
  add_event("network", "destroy", id, {{"name", at->second.name}, {"type", at->second.driver}});
  makers.erase("network " + id);
  networks.erase(at);
}

}  // namespace mock

using mock::Container;

namespace {

Status check_create(const api::NetworkCreateConfig& config) {
  const std::string name = config.name.value_or("");
  if (mock::is_predefined_network(name)) {
    return {Code::kPermissionDenied, "operation is not permitted on predefined " + name + " network"};
  }
  const bool good = !name.empty() && mock::is_word(name.front()) &&
                    std::all_of(name.begin(), name.end(),
                                [](char c) { return mock::is_word(c) || c == '_' || c == '.' || c == '-'; });
  if (!good) return invalid_argument("invalid name: " + quote(name));
  const std::string driver = config.driver.value_or("bridge");
  if (config.ingress.value_or(false)) return not_implemented("Ingress is not supported");
  if (driver == "overlay") return not_implemented("Driver " + quote(driver) + " is not supported");
  if (driver != "bridge" && driver != "macvlan" && driver != "ipvlan")
    return not_found("plugin " + quote(driver) + " not found");
  const api::IPAMRequest ipam = config.ipam.value_or(api::IPAMRequest{});
  for (const api::IPAMConfig& pool : ipam.config.value_or(std::vector<api::IPAMConfig>{})) {
    const std::string subnet = pool.subnet.value_or("");
    if (!mock::is_subnet(subnet)) {
      return invalid_argument("invalid network config:\ninvalid subnet " + subnet +
                              ": invalid CIDR block notation");
    }
  }
  return {};
}

api::Network network_of(const api::NetworkCreateConfig& config) {
  const bool config_only = config.config_only.value_or(false);
  api::Network made =
      mock::plain(config.name.value_or(""), config_only ? "null" : config.driver.value_or("bridge"));
  made.config_only = config_only;
  made.internal = config.internal.value_or(false);
  made.attachable = config.attachable.value_or(false);
  made.enable_ipv4 = config.enable_ipv4.value_or(true);
  made.enable_ipv6 = config.enable_ipv6.value_or(false);
  if (config.options) made.options = *config.options;
  if (config.labels) made.labels = *config.labels;
  const api::IPAMRequest ipam = config.ipam.value_or(api::IPAMRequest{});
  if (ipam.options) made.ipam.options = *ipam.options;
  if (ipam.config) made.ipam.config = *ipam.config;
  return made;
}

// What it takes over from its configuration.
Status apply_base(const api::NetworkCreateConfig& config, const std::map<std::string, api::Network>& networks,
                  api::Network& made) {
  const std::string base = config.config_from ? config.config_from->network : "";
  if (base.empty()) return {};
  const auto at = std::find_if(networks.begin(), networks.end(), [&](const auto& entry) {
    return entry.second.name == base && entry.second.config_only;
  });
  if (at == networks.end()) return not_found("configuration network " + quote(base) + " does not exist");
  const bool has_own = !made.labels->empty() || !made.options->empty() || made.enable_ipv6 ||
                       (made.ipam.config.has_value() && !made.ipam.config->empty());
  if (has_own || config.config_only.value_or(false)) {
    return {
        Code::kPermissionDenied,
        "user specified configurations are not supported if the network depends on a configuration network"};
  }
  made.config_from.network = base;
  made.labels = at->second.labels;
  made.options = at->second.options;
  made.enable_ipv4 = at->second.enable_ipv4;
  made.enable_ipv6 = at->second.enable_ipv6;
  made.ipam = at->second.ipam;
  return {};
}

constexpr std::array<std::string_view, 7> kListKeys{"dangling", "driver", "id",  "label",
                                                    "name",     "scope",  "type"};

Status check_values(const FilterMap& filters) {
  for (const auto& [key, values] : filters) {
    for (const std::string& value : values) {
      if (key == "type" && value != "builtin" && value != "custom")
        return invalid_argument("invalid filter: 'type'='" + value + "'");
      if (key == "dangling" && value != "true" && value != "false")
        return invalid_argument("invalid filter 'dangling=[" + value + "]'");
    }
  }
  return {};
}

Result<bool> is_listed(const api::Network& network, const FilterMap& filters, bool is_used) {
  POUCH_RETURN_IF_ERROR(check_filter_keys(filters, kListKeys));
  POUCH_RETURN_IF_ERROR(check_values(filters));
  const bool is_predefined = mock::is_predefined_network(network.name);
  const auto is = [](const std::string& text) {
    return [&text](const std::string& value) { return value == text; };
  };
  const auto part_of = [](const std::string& text) {
    return [&text](const std::string& value) { return text.find(value) != std::string::npos; };
  };
  return passes_one(filters, "name", part_of(network.name)) &&
         passes_one(filters, "id", part_of(network.id)) &&
         passes_one(filters, "driver", is(network.driver)) &&
         passes_one(filters, "scope", is(network.scope)) &&
         passes_all(filters, "label",
                    [&](const std::string& value) { return has_label(*network.labels, value); }) &&
         passes_one(filters, "type",
                    [&](const std::string& value) { return (value == "builtin") == is_predefined; }) &&
         passes_one(filters, "dangling", [&](const std::string& value) {
           return (value == "true") == (!is_used && !is_predefined);
         });
}

// With the lock held.
bool is_member(const Container& container, const std::string& network) {
  const bool is_main = mock::network_mode(container.host) == network && !container.has_left;
  return is_main || container.endpoints.contains(network);
}

Result<std::shared_ptr<Container>> find_member(const mock::State& state, const std::string& reference,
                                               const api::Network& network) {
  if (reference.empty()) return invalid_argument("Container: no container is given");
  POUCH_ASSIGN_OR_RETURN(auto container, state.find_container(reference));
  if (network.driver == "host") {
    return invalid_argument(
        "container cannot be disconnected from host network or connected to host network");
  }
  return container;
}

}  // namespace

Result<api::NetworkCreateResult> MockEngine::network_create(const api::NetworkCreateConfig& config,
                                                            const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_RETURN_IF_ERROR(check_create(config));
  const std::lock_guard lock(state_->mutex);
  POUCH_RETURN_IF_ERROR(state_->check_session(call.session));
  state_->ensure_networks();
  api::Network made = network_of(config);
  POUCH_RETURN_IF_ERROR(apply_base(config, state_->networks, made));
  for (const auto& [id, other] : state_->networks) {
    if (other.name == made.name) {
      return Status(Code::kAlreadyExists, "network with name " + made.name + " already exists");
    }
  }
  if (!made.config_only && (!made.ipam.config.has_value() || made.ipam.config->empty())) {
    if (state_->networks.size() > mock::kSubnets) {
      return Status(Code::kResourceExhausted, "all predefined address pools have been fully subnetted");
    }
    const std::string begin = "10.193." + std::to_string(state_->networks.size()) + ".";
    made.ipam.config = std::vector<api::IPAMConfig>{{.subnet = begin + "0/24", .gateway = begin + "1"}};
  }
  const std::string id = made.id;
  state_->add_event("network", "create", id, {{"name", made.name}, {"type", made.driver}});
  state_->add_maker("network", id, call.session);
  state_->networks[id] = std::move(made);
  return api::NetworkCreateResult{id, ""};
}

Result<std::vector<api::Network>> MockEngine::network_list(const api::NetworkListOptions& options,
                                                           const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::lock_guard lock(state_->mutex);
  state_->ensure_networks();
  std::vector<api::Network> out;
  for (const auto& [id, network] : state_->networks) {
    const bool is_used =
        std::ranges::any_of(state_->containers, [&, &name = network.name](const auto& entry) {
          return entry.second->main.running && is_member(*entry.second, name);
        });
    POUCH_ASSIGN_OR_RETURN(const bool listed,
                           is_listed(network, options.filters.value_or(FilterMap{}), is_used));
    if (listed) out.push_back(network);
  }
  std::ranges::sort(out, {}, &api::Network::name);
  return out;
}

Result<api::Network> MockEngine::network_inspect(const std::string& id,
                                                 const api::NetworkInspectOptions& options,
                                                 const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const api::Network* found, state_->find_network(id));
  if (options.scope.value_or("local") != "local") return not_found("network " + id + " not found");
  api::Network out = *found;
  for (const auto& [container_id, container] : state_->containers) {
    if (!container->main.running || !is_member(*container, out.name)) continue;
    const auto endpoints = mock::endpoints_of(*container);
    const api::EndpointSettings& endpoint = endpoints.at(out.name);
    api::NetworkContainer& shown = (*out.containers)[container_id];
    shown.name = container->name;
    shown.endpoint_id = endpoint.endpoint_id.value_or("");
    shown.mac_address = endpoint.mac_address.value_or("");
    if (endpoint.ip_address) {
      shown.ipv4_address = *endpoint.ip_address + "/" + std::to_string(endpoint.ip_prefix_len.value_or(0));
    }
  }
  return out;
}

Status MockEngine::network_remove(const std::string& id, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const api::Network* found, state_->find_network(id));
  if (mock::is_predefined_network(found->name)) {
    return {Code::kPermissionDenied, found->name + " is a pre-defined network and cannot be removed"};
  }
  for (const auto& [other_id, other] : state_->networks) {
    if (!found->config_only || other.config_from.network != found->name) continue;
    return {Code::kPermissionDenied,
            "error while removing network: configuration network " + quote(found->name) + " is in use"};
  }
  for (const auto& [container_id, container] : state_->containers) {
    if (!container->main.running || !is_member(*container, found->name)) continue;
    return {Code::kPermissionDenied, "error while removing network: network " + found->name +
                                         " has active endpoints (name:\"" + container->name + "\" id:\"" +
                                         container_id.substr(0, 12) + "\")"};
  }
  state_->remove_network(found->id);
  return {};
}

Status MockEngine::network_connect(const std::string& id, const api::NetworkConnectConfig& config,
                                   const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const api::Network* network, state_->find_network(id));
  POUCH_ASSIGN_OR_RETURN(const auto container, find_member(*state_, config.container.value_or(""), *network));
  if (network->config_only) {
    return {Code::kPermissionDenied, "cannot create endpoint on configuration-only network"};
  }
  if (!mock::has_own_links(mock::network_mode(container->host)) || network->driver != "bridge") {
    return invalid_argument(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode");
  }
  const api::EndpointSettings asked = config.endpoint_config.value_or(api::EndpointSettings{});
  const api::EndpointIPAMConfig ipam = asked.ipam_config.value_or(api::EndpointIPAMConfig{});
  if (ipam.ipv4_address && split(*ipam.ipv4_address, '.').size() != 4) {
    return invalid_argument("invalid endpoint settings:\ninvalid IPv4 address: " + *ipam.ipv4_address);
  }
  if (asked.driver_opts && !asked.driver_opts->empty()) return not_implemented("DriverOpts is not supported");
  if (container->main.running && is_member(*container, network->name)) {
    return {Code::kPermissionDenied,
            "endpoint with name " + container->name + " already exists in network " + network->name};
  }
  container->endpoints[network->name] = asked;
  if (mock::network_mode(container->host) == network->name) container->has_left = false;
  if (container->main.running) {
    state_->add_event("network", "connect", network->id,
                      {{"container", container->id}, {"name", network->name}, {"type", network->driver}});
  }
  return {};
}

Status MockEngine::network_disconnect(const std::string& id, const api::NetworkDisconnectConfig& config,
                                      const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const api::Network* network, state_->find_network(id));
  POUCH_ASSIGN_OR_RETURN(const auto container, find_member(*state_, config.container.value_or(""), *network));
  if (!is_member(*container, network->name)) {
    return {Code::kPermissionDenied,
            "container " + container->id + " is not connected to network " + network->name};
  }
  container->endpoints.erase(network->name);
  if (mock::network_mode(container->host) == network->name) container->has_left = true;
  if (container->main.running) {
    state_->add_event("network", "disconnect", network->id,
                      {{"container", container->id}, {"name", network->name}, {"type", network->driver}});
  }
  return {};
}

Result<api::NetworkPruneResult> MockEngine::network_prune(const api::NetworkPruneOptions& options,
                                                          const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const FilterMap filters = options.filters.value_or(FilterMap{});
  for (const auto& [key, values] : filters) {
    if (key != "label" && key != "label!" && key != "until") {
      return invalid_argument("Invalid filter '" + key + "'");
    }
  }
  const auto holds = [&](const std::string& key, const auto& test) {
    const auto at = filters.find(key);
    return at == filters.end() || std::ranges::all_of(at->second, test);
  };
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> ids;
  std::vector<std::string> names;
  for (const auto& [id, network] : state_->networks) {
    const bool is_used = std::ranges::any_of(
        state_->containers,
        [&, &name = network.name](const auto& entry) { return is_member(*entry.second, name); });
    const auto& labels = *network.labels;
    if (is_used || network.config_only || mock::is_predefined_network(network.name) ||
        !holds("label", [&](const std::string& value) { return has_label(labels, value); }) ||
        !holds("label!", [&](const std::string& value) { return !has_label(labels, value); })) {
      continue;
    }
    ids.push_back(id);
    names.push_back(network.name);
  }
  for (const std::string& id : ids) state_->remove_network(id);
  api::NetworkPruneResult result;
  if (!names.empty()) result.networks_deleted = std::move(names);
  return result;
}

}  // namespace pouch
