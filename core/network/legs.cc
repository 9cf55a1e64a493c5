#include "core/network/legs.h"

#include <algorithm>

#include "core/network/endpoint_options.h"
#include "core/network/mode.h"
#include "core/network/options.h"
#include "core/network/plugged.h"
#include "core/network/sub_links.h"
#include "core/sys/ip_net.h"

namespace pouch::network {
namespace {

constexpr size_t kRootDigits = 6;      // of the root's id in the name of a veth's end, which has 15 bytes
constexpr size_t kEndpointDigits = 7;  // of the endpoint's

std::string with_prefix(const PoolRow* pool, const std::string& address) {
  if (pool == nullptr || address.empty()) return {};
  const size_t slash = pool->subnet.find('/');
  return slash == std::string::npos ? std::string() : address + pool->subnet.substr(slash);
}

int64_t prefix_len(const std::string& address) {
  const auto net = sys::IpNet::parse(address);
  return net.is_ok() ? int64_t{net->prefix} : 0;
}

// Whether `a` comes before `b` as the way out.
bool is_better_gateway(const Place& a, const Place& b) {
  const int64_t first = a.asked.gw_priority.value_or(0);
  const int64_t second = b.asked.gw_priority.value_or(0);
  return first != second ? first > second : a.network.name < b.network.name;
}

Status share_parent(const NetworkRow& network, const BridgeOptions& options, NetworkLeg& leg) {
  POUCH_ASSIGN_OR_RETURN(const SubLinkOptions shared, sub_link_options(network.driver, network.options));
  leg.parent = shared.parent.empty() ? network.device : shared.parent;
  leg.mode = shared.mode;
  leg.flag = shared.flag;
  leg.mtu = options.mtu;
  return {};
}

PluginFacts facts_of(const EndpointRow& endpoint) {
  auto facts = PluginFacts::parse(endpoint.plugin_json);
  return facts.is_ok() ? std::move(*facts) : PluginFacts();
}

bool leads_out(const NetworkLeg& leg, bool v4) {
  if (leg.is_routed) return !(v4 ? leg.address : leg.address6).empty();
  return !(v4 ? leg.gateway : leg.gateway6).empty();
}

Result<NetworkLeg> leg_of(const std::string& root_id, const Place& place) {
  const NetworkRow& network = place.network;
  POUCH_ASSIGN_OR_RETURN(const BridgeOptions options, bridge_options(network.options));
  NetworkLeg leg;
  leg.network_id = network.id;
  leg.driver = network.driver;
  if (has_sub_links(network.driver)) {
    POUCH_RETURN_IF_ERROR(share_parent(network, options, leg));
  } else if (!is_plugin_driver(network.driver)) {
    leg.bridge = network.device;
    leg.veth = veth_name(root_id, place.endpoint.endpoint_id);
  }
  leg.link = place.endpoint.link;
  leg.mac = place.endpoint.mac;
  leg.is_isolated = !options.icc;
  leg.is_direct4 = options.mode4 == GatewayMode::kRouted;
  leg.is_direct6 = options.mode6 == GatewayMode::kRouted;
  leg.host_binding = options.host_binding;
  leg.address = full_address(network, place.endpoint, true);
  leg.address6 = full_address(network, place.endpoint, false);
  leg.is_routed = is_routed(network) && !is_dead_end(network);
  leg.gateway = gateway_for(network, place.endpoint, true);
  leg.gateway6 = gateway_for(network, place.endpoint, false);
  const api::EndpointIPAMConfig ipam = place.asked.ipam_config.value_or(api::EndpointIPAMConfig{});
  if (!is_plugin_driver(network.driver)) {
    POUCH_ASSIGN_OR_RETURN(const EndpointOptions own, endpoint_options(place.asked));
    leg.settings = own.settings;
  }
  const PluginFacts facts = facts_of(place.endpoint);
  leg.search = facts.search;
  leg.wants_way_out = facts.wants_way_out;
  leg.is_last_resort = place.endpoint.is_last_resort();
  leg.link_local = ipam.link_local_ips.value_or(std::vector<std::string>{});
  return leg;
}

// Ports are published in the network that leads out, if that is a bridge: one for each family.
bool has_ports(const NetworkLeg& leg) {
  return leg.driver == "bridge" && (leg.is_default4 || leg.is_default6);
}

}  // namespace

// Why a container in a mode without links of its own cannot be in that network besides.
Status check_mode(const api::HostConfig& host, const NetworkRow& row) {
  if (row.config_only) {
    return {Code::kPermissionDenied, "cannot create endpoint on configuration-only network"};
  }
  const std::string mode = mode_of(host);
  if (!joined_container(host).empty()) {
    return invalid_argument(
        "container sharing network namespace with another container or host cannot be connected to any other "
        "network");
  }
  if (mode == "host" || row.driver == "host") {
    return invalid_argument(
        "container cannot be disconnected from host network or connected to host network");
  }
  if (mode == "none" || row.driver == "null") {
    return invalid_argument(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode");
  }
  return {};
}

std::string full_address(const NetworkRow& network, const EndpointRow& endpoint, bool v4) {
  if (endpoint.plugin_json.empty()) {
    const std::string& address = v4 ? endpoint.address : endpoint.address6;
    return with_prefix(network.pool_of(address), address);
  }
  const PluginFacts facts = facts_of(endpoint);
  return v4 ? facts.address : facts.address6;
}

std::string gateway_for(const NetworkRow& network, const EndpointRow& endpoint, bool v4) {
  if (is_dead_end(network) || is_routed(network)) return {};
  if (is_plugin_driver(network.driver)) {
    const PluginFacts facts = facts_of(endpoint);
    return v4 ? facts.gateway : facts.gateway6;
  }
  const PoolRow* pool = network.pool_of(v4 ? endpoint.address : endpoint.address6);
  return pool == nullptr ? std::string() : pool->gateway;
}

std::string veth_name(const std::string& root_id, const std::string& endpoint_id) {
  return "pv" + root_id.substr(0, kRootDigits) + endpoint_id.substr(0, kEndpointDigits);
}

std::string free_link_name(const std::string& prefix, const std::vector<EndpointRow>& others) {
  for (size_t number = 0;; ++number) {
    const std::string name = prefix + std::to_string(number);
    const bool taken = std::any_of(others.begin(), others.end(),
                                   [&](const EndpointRow& other) { return other.link == name; });
    if (!taken) return name;
  }
}

Result<std::vector<NetworkLeg>> legs_of(const std::string& root_id, const std::vector<Place>& places) {
  std::vector<NetworkLeg> legs;
  const Place* way4 = nullptr;
  const Place* way6 = nullptr;
  for (const Place& place : places) {
    POUCH_ASSIGN_OR_RETURN(NetworkLeg leg, leg_of(root_id, place));
    if (leads_out(leg, true) && (way4 == nullptr || is_better_gateway(place, *way4))) way4 = &place;
    if (leads_out(leg, false) && (way6 == nullptr || is_better_gateway(place, *way6))) way6 = &place;
    legs.push_back(std::move(leg));
  }
  for (size_t i = 0; i < places.size(); ++i) {
    legs[i].is_default4 = &places[i] == way4;
    legs[i].is_default6 = &places[i] == way6;
  }
  return legs;
}

bool lacks_way_out(const NetworkPlan& plan) {
  const auto& legs = plan.legs;
  return std::any_of(legs.begin(), legs.end(), [](const NetworkLeg& leg) { return leg.wants_way_out; }) &&
         std::none_of(legs.begin(), legs.end(), [](const NetworkLeg& leg) { return leg.is_default4; });
}

std::vector<PortTarget> port_targets(const NetworkPlan& plan) {
  std::vector<PortTarget> targets;
  const auto add = [&targets](const std::string& address, bool is_direct, const std::string& binding) {
    const auto net = sys::IpNet::parse(address);
    if (net.is_ok()) targets.push_back({net->address, is_direct, binding});
  };
  for (const NetworkLeg& leg : plan.legs) {
    if (!has_ports(leg)) continue;
    if (leg.is_default4) add(leg.address, leg.is_direct4, leg.host_binding);
    if (leg.is_default6) add(leg.address6, leg.is_direct6, "");
  }
  return targets;
}

void mark_hairpins(NetworkPlan& plan) {
  for (NetworkLeg& leg : plan.legs) leg.is_hairpin = has_ports(leg);
}

api::EndpointSettings shown_settings(const Place& place, const std::vector<std::string>& names) {
  api::EndpointSettings shown = place.asked;
  const NetworkRow& network = place.network;
  // As in Docker, of the default network from the first start on.
  if (network.name != kBridgeName || place.endpoint.generation > 0) shown.network_id = network.id;
  if (network.name != kBridgeName) shown.dns_names = names;
  if (!place.endpoint.is_running()) return shown;
  shown.endpoint_id = place.endpoint.endpoint_id;
  shown.mac_address = place.endpoint.mac;
  const std::string address = full_address(network, place.endpoint, true);
  const std::string address6 = full_address(network, place.endpoint, false);
  const std::string gateway = gateway_for(network, place.endpoint, true);
  const std::string gateway6 = gateway_for(network, place.endpoint, false);
  if (!address.empty()) {
    shown.ip_address = place.endpoint.address;
    shown.ip_prefix_len = prefix_len(address);
    if (!gateway.empty()) shown.gateway = gateway;
  }
  if (!address6.empty()) {
    shown.global_ipv6_address = place.endpoint.address6;
    shown.global_ipv6_prefix_len = prefix_len(address6);
    if (!gateway6.empty()) shown.ipv6_gateway = gateway6;
  }
  return shown;
}

}  // namespace pouch::network
