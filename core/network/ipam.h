#pragma once

#include <string>
#include <vector>

#include "core/api/network.gen.h"
#include "core/base/status.h"
#include "core/network/endpoints.h"
#include "core/network/records.h"
#include "core/store/database.h"
#include "core/sys/ip_net.h"

// Which subnets a network has, and which addresses a container.

namespace pouch::network {

/// The subnets asked for, checked, with their gateways. InvalidArgument in Moby's words.
Result<std::vector<PoolRow>> pools_of(const api::NetworkCreateConfig& config);

/// Adds the subnets that the row lacks for its families, none of which overlaps with `used`.
/// ResourceExhausted when there is none.
Status choose_pools(NetworkRow& row, const std::vector<sys::IpNet>& used);

/// The subnets of all networks but `except`.
Result<std::vector<sys::IpNet>> subnets_of_networks(store::Session& session, const std::string& except);
/// PermissionDenied when a pool of the row overlaps with one of those, or with another of its own.
Status check_overlaps(const NetworkRow& row, std::vector<sys::IpNet> others);

/// Whether the network can give what an endpoint asks for. InvalidArgument in Moby's words.
Status check_addresses(const NetworkRow& row, const api::EndpointSettings& asked);
/// Gives the endpoint its addresses and its MAC address. PermissionDenied when a fixed one is taken,
/// ResourceExhausted when none is left.
Status assign_addresses(store::Session& session, NetworkRow& row, const api::EndpointSettings& asked,
                        EndpointRow& endpoint);

}  // namespace pouch::network
