// Tables as others make them, in a network namespace of each test's own.

#include "core/sys/foreign_chains.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <functional>
#include <string>
#include <vector>

#include "core/base/executor.h"
#include "core/sys/child.h"

namespace pouch::sys {
namespace {

void apart(const std::function<void()>& body) {
  std::thread thread = start_thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    body();
  });
  thread.join();
}

void load(const std::string& rules) {
  const auto loaded = run_program({"/usr/sbin/nft", {rules}, {"PATH=/usr/sbin"}}, Deadline::after_ms(20'000));
  ASSERT_TRUE(loaded.is_ok() && loaded->exit.code == 0) << loaded->stderr_text;
}

std::string table(const std::string& name, const std::string& rules, const std::string& policy = "accept",
                  const std::string& hook = "forward", const std::string& others = "") {
  return "table " + name + " {\n" + others + "chain FORWARD {\ntype filter hook " + hook +
         " priority 0; policy " + policy + ";\n" + rules + "\n}\n}\n";
}

// "family table chain", with what is known of it.
std::vector<std::string> found(const std::string& device = "pb-t1") {
  const auto chains = dropping_chains(device);
  EXPECT_TRUE(chains.is_ok()) << chains.status().to_string();
  std::vector<std::string> out;
  for (const DroppingChain& each : *chains)
    out.push_back(each.family + " " + each.table + " " + each.chain +
                  (each.mentions_device ? ", mentioned" : "") + (each.lets_ports_pass ? ", ports" : ""));
  return out;
}

TEST(ForeignChains, ThatDropByTheirPolicyAreNamed) {
  apart([] {
    EXPECT_TRUE(found().empty());
    load(table("ip filter", "", "drop") + table("ip6 filter", "", "drop") +
         table("ip other", "", "drop", "input") + table("inet ok", "iifname \"pb-t1\" accept", "drop") +
         table("inet pouch_t2", "", "drop") + table("ip open", "counter accept", "drop") +
         table("ip some", "udp dport 53 accept", "drop"));
    EXPECT_EQ(found(), (std::vector<std::string>{"ip filter FORWARD", "inet ok FORWARD, mentioned",
                                                 "ip some FORWARD"}));
  });
}

TEST(ForeignChains, ThatEndWithARuleForAllAreNamed) {
  apart([] {
    load(table("ip a", "ct state established accept\ncounter drop") + table("ip b", "tcp dport 80 drop") +
         table("inet c", "log prefix \"no: \" reject with icmpx type admin-prohibited") +
         table("inet d", "meta nfproto ipv6 reject") + table("inet e", "accept\ndrop") +
         table("inet f", "return\ndrop"));
    EXPECT_EQ(found(), (std::vector<std::string>{"ip a FORWARD", "inet c FORWARD"}));
  });
}

// firewalld's table, as far as it matters: the default zone is what is left when no interface has another.
std::string firewalld(const std::string& zones, const std::string& zone_end) {
  return table("inet firewalld",
               "ct state { established, related } accept\nct status dnat accept\niifname \"lo\" accept\n"
               "ct state invalid drop\njump zones\nreject with icmpx type admin-prohibited",
               "accept", "forward",
               "chain post { }\nchain public {\njump post\n" + zone_end +
                   "\n}\nchain trusted {\naccept\n}\n" + "chain zones {\n" + zones + "goto public\n}\n");
}

TEST(ForeignChains, AreFollowedWhereTheyGoToWithAllPackets) {
  apart([] {
    load(firewalld("iifname \"eth7\" goto public\n", "reject with icmpx type admin-prohibited"));
    EXPECT_EQ(found(), std::vector<std::string>{"inet firewalld FORWARD, ports"});
  });
  apart([] {
    load(firewalld("iifname \"pb-t1\" goto trusted\n", "reject with icmpx type admin-prohibited"));
    EXPECT_EQ(found(), std::vector<std::string>{"inet firewalld FORWARD, mentioned, ports"});
    EXPECT_EQ(found("pb-t2"), std::vector<std::string>{"inet firewalld FORWARD, ports"});
  });
  // A default zone that accepts.
  apart([] {
    load(firewalld("", "accept"));
    EXPECT_TRUE(found().empty());
  });
}

TEST(ForeignChains, OfIptablesAreRead) {
  apart([] {
    ASSERT_EQ(::system("iptables-nft -w -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT && "
                       "iptables-nft -w -A FORWARD -m comment --comment 'the rest' -j LOG && "
                       "iptables-nft -w -A FORWARD -m comment --comment 'the rest' -j REJECT"),
              0);
    EXPECT_EQ(found(), std::vector<std::string>{"ip filter FORWARD"});
    ASSERT_EQ(::system("iptables-nft -w -I FORWARD -i pb-t1 -j ACCEPT"), 0);
    EXPECT_EQ(found(), std::vector<std::string>{"ip filter FORWARD, mentioned"});
    ASSERT_EQ(::system("iptables-nft -w -I FORWARD -j ACCEPT"), 0);
    EXPECT_TRUE(found().empty());
  });
}

}  // namespace
}  // namespace pouch::sys
