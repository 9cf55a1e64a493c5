#include "core/network/firewall_warnings.h"

#include <gtest/gtest.h>

namespace pouch::network {
namespace {

std::string warning(const std::string& family, const std::string& table, const std::string& name,
                    bool publishes = false, bool lets_ports_pass = false) {
  sys::DroppingChain chain;
  chain.family = family;
  chain.table = table;
  chain.chain = name;
  chain.lets_ports_pass = lets_ports_pass;
  return firewall_warning(chain, "mine", "pn1", publishes);
}

TEST(FirewallWarnings, NameTheChainAndWhatHelps) {
  EXPECT_EQ(
      warning("ip", "filter", "FORWARD"),
      "The chain FORWARD of nftables table ip filter drops forwarded packets: containers on the network mine "
      "cannot reach other hosts. To let them: iptables -I FORWARD -i pn1 -j ACCEPT; iptables -I FORWARD -o "
      "pn1 -j ACCEPT");
  EXPECT_EQ(
      warning("inet", "mine", "fwd"),
      "The chain fwd of nftables table inet mine drops forwarded packets: containers on the network mine "
      "cannot reach other hosts. To let them: accept packets from and to pn1 there");
  EXPECT_EQ(
      warning("inet", "firewalld", "filter_FORWARD"),
      "The chain filter_FORWARD of nftables table inet firewalld drops forwarded packets: containers on the "
      "network mine cannot reach other hosts. To let them: firewall-cmd --zone=trusted "
      "--change-interface=pn1; firewall-cmd --permanent --zone=trusted --change-interface=pn1");
}

TEST(FirewallWarnings, TellOfPortsWhereTheySuffer) {
  const std::string words = ", nor be reached from there at published ports. To let them";
  EXPECT_NE(warning("ip", "filter", "FORWARD", true).find(words), std::string::npos);
  EXPECT_EQ(warning("ip", "filter", "FORWARD", true, true).find(words), std::string::npos);
  EXPECT_EQ(warning("ip", "filter", "FORWARD").find(words), std::string::npos);
}

}  // namespace
}  // namespace pouch::network
