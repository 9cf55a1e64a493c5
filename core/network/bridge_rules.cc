#include "core/network/bridge_rules.h"

#include "core/network/options.h"

namespace pouch::network {
namespace {

// Options of one family: who is let in, and what packets leave as.
sys::BridgeWays ways_of(const BridgeOptions& options, bool v4) {
  sys::BridgeWays ways;
  const GatewayMode mode = options.mode(v4);
  ways.is_routed = mode == GatewayMode::kRouted;
  ways.is_unprotected = mode == GatewayMode::kNatUnprotected;
  const auto source = sys::IpAddress::parse(v4 ? options.source4 : options.source6);
  if (source.is_ok() && options.masquerade) ways.source = *source;
  return ways;
}

}  // namespace

sys::BridgeRules rules_of(const NetworkRow& row) {
  sys::BridgeRules rules;
  rules.device = row.device;
  rules.is_internal = row.internal;
  const auto checked = bridge_options(row.options);  // when it was created
  const BridgeOptions options = checked.is_ok() ? *checked : BridgeOptions();
  rules.is_open_within = options.icc;
  if (row.internal) return rules;
  rules.v4 = ways_of(options, true);
  rules.v6 = ways_of(options, false);
  rules.trusted = options.trusted;
  for (const PoolRow& pool : row.pools) {
    const auto net = sys::IpNet::parse(pool.subnet);
    const bool is_routed = (pool.is_v4() ? rules.v4 : rules.v6).is_routed;
    if (net.is_ok() && options.masquerade && !is_routed) rules.masqueraded.push_back(*net);
  }
  return rules;
}

}  // namespace pouch::network
