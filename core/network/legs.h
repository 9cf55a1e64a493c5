#pragma once

#include <string>
#include <vector>

#include "core/api/network.gen.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/network/endpoints.h"
#include "core/network/port_choice.h"
#include "core/network/records.h"
#include "core/sys/ip_net.h"

// From rows to links: pure functions.

namespace pouch::network {

/// InvalidArgument when a container of that mode cannot be in the network besides; PermissionDenied when
/// nobody can.
Status check_mode(const api::HostConfig& host, const NetworkRow& row);

/// A running endpoint with what belongs to it.
struct Place {
  NetworkRow network;
  EndpointRow endpoint;
  api::EndpointSettings asked;
};

/// With its prefix: "10.0.0.2/24"; "" when it has none of the family, or does not run.
std::string full_address(const NetworkRow& network, const EndpointRow& endpoint, bool v4);
/// What leads out of the network for it; "" when nothing does.
std::string gateway_for(const NetworkRow& network, const EndpointRow& endpoint, bool v4);

/// The host's end of an endpoint's link.
std::string veth_name(const std::string& root_id, const std::string& endpoint_id);

/// The first "eth…" (or another prefix) that none of the others has.
std::string free_link_name(const std::string& prefix, const std::vector<EndpointRow>& others);

/// The links of the places, in their order; which of them has the default routes: of the networks that lead
/// out that with the highest GwPriority, of several the first by name.
Result<std::vector<NetworkLeg>> legs_of(const std::string& root_id, const std::vector<Place>& places);

/// Whether a plugin leaves it to the engine to lead out, and nothing does.
bool lacks_way_out(const NetworkPlan& plan);

/// Where the ports of a container are led to: at most one address of each family.
std::vector<PortTarget> port_targets(const NetworkPlan& plan);
/// The legs that ports are led to.
void mark_hairpins(NetworkPlan& plan);

/// What inspect shows of one.
api::EndpointSettings shown_settings(const Place& place, const std::vector<std::string>& names);

}  // namespace pouch::network
