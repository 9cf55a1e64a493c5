#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "core/base/status.h"
#include "core/sys/ip_net.h"
#include "core/sys/links.h"

// Which subnet a new bridge takes, and which address a container. Pure functions.

namespace pouch::network {

/// Subnets that a bridge may take where nobody asks for one. As many addresses as a bridge has ports.
std::vector<sys::IpNet> default_subnets();

/// The first of `candidates`, from number `start` on and around, that overlaps with nothing in `used`.
std::optional<sys::IpNet> choose_subnet(const std::vector<sys::IpNet>& candidates, uint64_t start,
                                        const std::vector<sys::IpNet>& used);

/// What the host's links and routes use, default routes and those of the link `except` apart.
std::vector<sys::IpNet> used_subnets(const std::vector<sys::LinkAddress>& addresses,
                                     const std::vector<sys::Route>& routes, int except);

/// The gateway of a subnet: its first address.
sys::IpAddress gateway_of(const sys::IpNet& subnet);

/// A subnet of random unique local IPv6 addresses (RFC 4193).
sys::IpNet random_subnet6();

/// The next free address of `range`, which is `subnet` or a part of it, after `last` (invalid: from the
/// beginning), around; never the network's or the broadcast address. So an address rests for as long as can
/// be before it is used again. ResourceExhausted when all are taken.
Result<sys::IpAddress> next_address(const sys::IpNet& subnet, const sys::IpNet& range,
                                    const sys::IpAddress& last,
                                    const std::function<Result<bool>(const sys::IpAddress&)>& is_taken);

/// As Docker makes it of an IPv4 address, so that a reused address has its old MAC address.
sys::MacAddress mac_of(const sys::IpAddress& address);

}  // namespace pouch::network
