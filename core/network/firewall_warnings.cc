#include "core/network/firewall_warnings.h"

namespace pouch::network {
namespace {

// What nobody but its owner writes into is changed by the owner's command: firewalld makes its table anew
// from its zones. In "trusted" it accepts everything, as Docker has it in a zone of its own.
std::string remedy(const sys::DroppingChain& chain, const std::string& device) {
  if (chain.family == "inet" && chain.table == "firewalld") {
    const std::string rest = "--zone=trusted --change-interface=" + device;
    return "firewall-cmd " + rest + "; firewall-cmd --permanent " + rest;
  }
  if (chain.family == "ip" && chain.table == "filter" && chain.chain == "FORWARD") {
    return "iptables -I FORWARD -i " + device + " -j ACCEPT; iptables -I FORWARD -o " + device + " -j ACCEPT";
  }
  return "accept packets from and to " + device + " there";
}

}  // namespace

std::string firewall_warning(const sys::DroppingChain& chain, const std::string& network,
                             const std::string& device, bool publishes) {
  const bool ports_suffer = publishes && !chain.lets_ports_pass;
  return "The chain " + chain.chain + " of nftables table " + chain.family + " " + chain.table +
         " drops forwarded packets: containers on the network " + network + " cannot reach other hosts" +
         (ports_suffer ? ", nor be reached from there at published ports" : "") +
         ". To let them: " + remedy(chain, device);
}

std::vector<std::string> firewall_warnings(const std::string& network, const std::string& device,
                                           bool publishes) {
  std::vector<std::string> out;
  const auto chains = sys::dropping_chains(device);
  if (!chains.is_ok()) return out;
  for (const sys::DroppingChain& chain : *chains) {
    if (!chain.mentions_device) out.push_back(firewall_warning(chain, network, device, publishes));
  }
  return out;
}

}  // namespace pouch::network
