#pragma once

#include <string>
#include <vector>

#include "core/sys/foreign_chains.h"

namespace pouch::network {

/// What a chain of somebody else keeps from the containers on a network (`network` is its name, `device` its
/// bridge), and the command that lets them; `publishes`: there are published ports, too.
std::string firewall_warning(const sys::DroppingChain& chain, const std::string& network,
                             const std::string& device, bool publishes);

/// Of each chain that drops, until rules of its table mention the bridge. None when the kernel does not tell.
std::vector<std::string> firewall_warnings(const std::string& network, const std::string& device,
                                           bool publishes);

}  // namespace pouch::network
