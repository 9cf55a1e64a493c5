#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace pouch::sys {

/// A base chain of somebody else that drops or rejects what it does not know on its way through the host.
struct DroppingChain {
  std::string family;  ///< "ip", "inet"
  std::string table;
  std::string chain;
  bool mentions_device = false;  ///< rules of its table name the bridge: somebody has seen to it
  bool lets_ports_pass = false;  ///< it accepts what a published port has led elsewhere (`ct status dnat`)
};

/// Chains in the way of IPv4 packets that the host forwards: by their policy, or by a rule without conditions
/// there or in chains that they go to without conditions (firewalld ends with `reject`). Tables of roots,
/// ours included, are none. Chains of iptables-legacy are not seen.
Result<std::vector<DroppingChain>> dropping_chains(const std::string& device);

}  // namespace pouch::sys
