#pragma once

#include "core/network/records.h"
#include "core/sys/bridge_firewall.h"

namespace pouch::network {

/// What the firewall is told of a network's bridge. A pure function.
sys::BridgeRules rules_of(const NetworkRow& row);

}  // namespace pouch::network
