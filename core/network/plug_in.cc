// What plugins have to do with a container's start, and with its joining a network while it runs.

#include <algorithm>

#include "core/network/cni_network.h"
#include "core/network/network_manager.h"
#include "core/network/plugged.h"

namespace pouch {

using network::EndpointRow;
using network::Place;

// In the order of their links.
Result<std::vector<Place>> NetworkManager::plugin_places(const ContainerId& id) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(const std::vector<EndpointRow> rows, network::endpoints_of(snapshot, id));
  std::vector<Place> places;
  for (const EndpointRow& row : rows) {
    POUCH_ASSIGN_OR_RETURN(const auto found, network::load_network(snapshot, row.network_id));
    if (!found || !row.is_running() || !network::has_plugin(*found)) continue;
    POUCH_ASSIGN_OR_RETURN(api::EndpointSettings asked, row.settings());
    places.push_back({*found, row, std::move(asked)});
  }
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return std::pair(a.endpoint.link.size(), a.endpoint.link) <
           std::pair(b.endpoint.link.size(), b.endpoint.link);
  });
  return places;
}

// The rows and the keeper's sockets are as of other ports; a CNI plugin leads them.
Status NetworkManager::claim_plugin_ports(const ContainerId& id, int64_t generation,
                                          const api::HostConfig& host, const std::vector<Place>& places,
                                          NetworkPlan& plan, const Call& call) {
  if (!network::publishes(host)) return {};
  const auto cni = std::find_if(places.begin(), places.end(),
                                [](const Place& place) { return place.network.driver == network::kCni; });
  if (cni == places.end()) return {};  // its driver was told of them
  POUCH_ASSIGN_OR_RETURN(const bool can, network::can_publish(cni->network));
  if (!can) {
    return not_implemented("HostConfig.PortBindings: no plugin of the CNI network " + cni->network.name +
                           " publishes ports (capability \"portMappings\")");
  }
  const std::vector<network::PortTarget> anywhere{{*sys::IpAddress::parse("0.0.0.0")},
                                                  {*sys::IpAddress::parse("::")}};
  POUCH_ASSIGN_OR_RETURN(plan.ports, ports_.claim(id, generation, host, anywhere, call));
  return {};
}

Status NetworkManager::attach_plugins(const ContainerId& id, int64_t generation, const api::HostConfig& host,
                                      NetworkPlan& plan, const Call& call) {
  const auto read_plan = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(plan, plan_of(snapshot, id, generation, host));
    return {};
  };
  POUCH_ASSIGN_OR_RETURN(std::vector<Place> places, plugin_places(id));
  for (Place& place : places) {
    POUCH_RETURN_IF_ERROR(plugs_.take_addresses(place.network, place.endpoint, call));
  }
  POUCH_RETURN_IF_ERROR(read_plan());
  const bool has_bridge = !network::port_targets(plan).empty();
  POUCH_RETURN_IF_ERROR(has_bridge ? claim_ports(id, generation, host, plan, call)
                                   : claim_plugin_ports(id, generation, host, places, plan, call));
  const bool has_links = std::any_of(places.begin(), places.end(), [](const Place& place) {
    return network::is_plugin_driver(place.network.driver);
  });
  if (!has_links) return {};
  POUCH_RETURN_IF_ERROR(make_namespace(plan).status());
  for (const Place& place : places) POUCH_RETURN_IF_ERROR(plug_in(place, host, plan, call));
  POUCH_RETURN_IF_ERROR(read_plan());
  if (network::lacks_way_out(plan)) {
    POUCH_RETURN_IF_ERROR(join_gateway(id, generation, "", call).status());
    POUCH_RETURN_IF_ERROR(read_plan());
    POUCH_RETURN_IF_ERROR(claim_ports(id, generation, host, plan, call));
  }
  plan.is_made = true;
  return {};
}

// Those ports that a plugin leads go to the first such network alone.
Status NetworkManager::plug_in(const Place& place, const api::HostConfig& host, const NetworkPlan& plan,
                               const Call& call) {
  if (!network::has_plugin(place.network)) return {};
  EndpointRow endpoint = place.endpoint;
  const bool has_address = !endpoint.address.empty() || !endpoint.address6.empty();
  if (!has_address) POUCH_RETURN_IF_ERROR(plugs_.take_addresses(place.network, endpoint, call));
  std::vector<EndpointRow> siblings;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(siblings, network::endpoints_of(snapshot, endpoint.container_id));
  }
  std::vector<PublishedPort> ports;
  std::copy_if(plan.ports.begin(), plan.ports.end(), std::back_inserter(ports),
               [](const PublishedPort& port) { return port.is_not_ours(); });
  return plugs_.attach(place.network, endpoint, siblings, host, ports, call)
      .prefix("join network " + place.network.name);
}

}  // namespace pouch
