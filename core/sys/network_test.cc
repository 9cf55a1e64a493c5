// Links, namespaces and rules, in a network namespace of each test's own: nothing of the host's is touched.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>

#include "core/base/executor.h"
#include "core/base/unique_fd.h"
#include "core/sys/bridge_firewall.h"
#include "core/sys/child.h"
#include "core/sys/conntrack.h"
#include "core/sys/file.h"
#include "core/sys/find_program.h"
#include "core/sys/links.h"
#include "core/sys/mounts.h"
#include "core/sys/net_namespace.h"
#include "core/sys/port_rules.h"

namespace pouch::sys {
namespace {

std::string own_namespace(const char* of = "/proc/thread-self/ns/net") {
  struct stat facts {};
  return ::stat(of, &facts) == 0 ? std::to_string(facts.st_ino) : "?";
}

// On a thread in a network namespace of its own.
void apart(const std::function<void()>& body) {
  std::thread thread = start_thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    body();
  });
  thread.join();
}

class NetworkTest : public testing::Test {
 protected:
  NetworkTest() {
    std::string name = testing::TempDir() + "pouch-net-XXXXXX";
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~NetworkTest() override {
    EXPECT_TRUE(unmount_tree(folder_).is_ok());
    EXPECT_TRUE(remove_tree(folder_).is_ok());
  }
  std::string pin() const { return folder_ + "/ns"; }
  std::string folder_;
};

TEST_F(NetworkTest, NamespacesArePinnedAndTheCallerStaysWhereItIs) {
  const std::string before = own_namespace();
  {
    auto made =
        create_net_namespace(pin(), {{"ipv6/conf/default/disable_ipv6", "1"}, {"ipv4/no_such_setting", "1"}});
    ASSERT_TRUE(made.is_ok()) << made.status().to_string();
    EXPECT_EQ(own_namespace(), before);
    EXPECT_NE(own_namespace(pin().c_str()), before);
    const auto links = made->links.list();
    ASSERT_TRUE(links.is_ok());
    ASSERT_EQ(std::count_if(links->begin(), links->end(), [](const Link& l) { return l.is_loopback; }), 1);
    EXPECT_TRUE(made->links.find("lo")->is_up);
  }
  EXPECT_TRUE(open_net_namespace(pin()).is_ok());
  EXPECT_EQ(create_net_namespace(pin(), {}).code(), Code::kAlreadyExists);
  EXPECT_TRUE(open_net_namespace(pin()).is_ok());
  EXPECT_TRUE(remove_net_namespace(pin()).is_ok());
  EXPECT_TRUE(remove_net_namespace(pin()).is_ok());
  EXPECT_EQ(::access(pin().c_str(), F_OK), -1);
  EXPECT_EQ(open_net_namespace(pin()).code(), Code::kNotFound);
  ASSERT_TRUE(write_file_atomic(pin(), "", 0600, false).is_ok());
  EXPECT_EQ(open_net_namespace(pin()).code(), Code::kNotFound);  // a file that pins nothing
  EXPECT_EQ(create_net_namespace(folder_ + "/absent/ns", {}).code(), Code::kNotFound);
}

TEST_F(NetworkTest, BridgeVethAddressesAndRoutes) {
  apart([&] {
    auto host = Links::open();
    ASSERT_TRUE(host.is_ok());
    ASSERT_TRUE(host->add_bridge("br0", *parse_mac("02:42:00:00:00:01"), 1400).is_ok());
    EXPECT_EQ(host->add_bridge("br0", *parse_mac("02:42:00:00:00:01"), 1400).code(), Code::kAlreadyExists);
    const auto bridge = host->find("br0");
    ASSERT_TRUE(bridge.is_ok());
    EXPECT_EQ(bridge->kind, "bridge");
    EXPECT_EQ(bridge->mtu, 1400);
    EXPECT_EQ(mac_text(bridge->mac), "02:42:00:00:00:01");
    EXPECT_FALSE(bridge->is_up);
    EXPECT_TRUE(host->set_alias(bridge->index, "whose").is_ok());
    ASSERT_TRUE(host->add_address(bridge->index, *IpNet::parse("10.9.0.1/24")).is_ok());
    EXPECT_EQ(host->add_address(bridge->index, *IpNet::parse("10.9.0.1/24")).code(), Code::kAlreadyExists);
    ASSERT_TRUE(host->set_up(bridge->index).is_ok());
    EXPECT_TRUE(host->set_up(bridge->index).is_ok());

    auto inside = create_net_namespace(pin(), {{"ipv6/conf/default/disable_ipv6", "1"}});
    ASSERT_TRUE(inside.is_ok()) << inside.status().to_string();
    const VethSpec spec{"ve0",           bridge->index, 1400, "eth0", *parse_mac("02:42:0a:09:00:02"),
                        inside->fd.get()};
    const Status made = host->add_veth(spec);
    ASSERT_TRUE(made.is_ok()) << made.to_string();
    EXPECT_EQ(host->add_veth(spec).code(), Code::kAlreadyExists);
    EXPECT_EQ(host->find("ve0")->master, bridge->index);
    EXPECT_EQ(host->find("ve0")->kind, "veth");
    const auto eth0 = inside->links.find("eth0");
    ASSERT_TRUE(eth0.is_ok());
    EXPECT_EQ(mac_text(eth0->mac), "02:42:0a:09:00:02");
    EXPECT_EQ(eth0->mtu, 1400);
    // The kernel's own words come with the error.
    const Status unreachable = inside->links.set_default_route(eth0->index, *IpAddress::parse("10.9.0.1"));
    EXPECT_FALSE(unreachable.is_ok());
    EXPECT_NE(unreachable.message().find('('), std::string::npos) << unreachable.message();
    ASSERT_TRUE(inside->links.add_address(eth0->index, *IpNet::parse("10.9.0.2/24")).is_ok());
    ASSERT_TRUE(inside->links.set_up(eth0->index).is_ok());
    ASSERT_TRUE(inside->links.set_default_route(eth0->index, *IpAddress::parse("10.9.0.1")).is_ok());

    const auto addresses = inside->links.addresses();
    ASSERT_TRUE(addresses.is_ok());
    const auto on_eth0 = [&](const LinkAddress& a) { return a.link == eth0->index; };
    // And no link-local one: IPv6 is off by the setting.
    ASSERT_EQ(std::count_if(addresses->begin(), addresses->end(), on_eth0), 1);
    EXPECT_EQ(std::find_if(addresses->begin(), addresses->end(), on_eth0)->net.to_string(), "10.9.0.2/24");
    const auto routes = inside->links.routes();
    ASSERT_TRUE(routes.is_ok());
    EXPECT_EQ(std::count_if(routes->begin(), routes->end(),
                            [&](const Route& r) {
                              return r.destination.prefix == 0 && r.gateway.to_string() == "10.9.0.1" &&
                                     r.link == eth0->index;
                            }),
              1);
    EXPECT_EQ(std::count_if(routes->begin(), routes->end(),
                            [&](const Route& r) {
                              return r.destination.to_string() == "10.9.0.0/24" && r.link == eth0->index;
                            }),
              1);
    EXPECT_TRUE(host->remove("ve0").is_ok());
    EXPECT_EQ(host->find("ve0").code(), Code::kNotFound);
    EXPECT_EQ(inside->links.find("eth0").code(), Code::kNotFound);
    EXPECT_EQ(host->remove("ve0").code(), Code::kNotFound);
  });
}

// As nft(8) shows it.
std::string ruleset() {
  const auto out =
      run_program({"/usr/sbin/nft", {"--stateless", "list", "ruleset"}, {"PATH=/usr/sbin:/sbin"}},
                  Deadline::after_ms(20'000));
  EXPECT_TRUE(out.is_ok() && out->exit.code == 0);
  return out.is_ok() ? out->stdout_text : "";
}

TEST_F(NetworkTest, FirewallIsWhatNftShows) {
  apart([] {
    auto firewall = BridgeFirewall::open("pouch_t1");
    ASSERT_TRUE(firewall.is_ok());
    EXPECT_EQ(firewall->find().code(), Code::kNotFound);
    EXPECT_TRUE(firewall->remove().is_ok());
    const BridgeRules a{"pb-a", {*IpNet::parse("10.9.0.1/22")}};
    const BridgeRules b{"pb-0123456789ab", {*IpNet::parse("10.9.4.1/22")}};
    for (int i = 0; i < 2; ++i) {  // again over what is there
      const Status made = firewall->create({a, b}, {}, "whose");
      ASSERT_TRUE(made.is_ok()) << made.to_string();
    }
    EXPECT_TRUE(firewall->find().is_ok());
    const std::string shown = ruleset();
    for (const char* line :
         {"comment \"whose\"", "elements = { \"pb-a\",", "10.9.0.0/22, 10.9.4.0/22",
          "iifname != @bridges oifname != @bridges accept", "ct state established,related accept",
          "iifname . oifname @within accept", "oifname @bridges drop",
          "type filter hook forward priority filter; policy accept;",
          "type nat hook postrouting priority srcnat; policy accept;",
          "ip saddr @masqueraded oifname != @bridges masquerade"}) {
      EXPECT_NE(shown.find(line), std::string::npos) << line << " in\n" << shown;
    }
    EXPECT_TRUE(firewall->remove().is_ok());
    EXPECT_EQ(ruleset(), "");
  });
}

PortRule port(const char* host, uint16_t number, const char* target, uint16_t to,
              uint8_t protocol = IPPROTO_TCP) {
  return {protocol, *IpAddress::parse(host), number, *IpAddress::parse(target), to};
}

TEST_F(NetworkTest, WaysOfBridgesAreElements) {
  apart([] {
    auto firewall = BridgeFirewall::open("pouch_t4");
    ASSERT_TRUE(firewall.is_ok());
    BridgeRules rules{"pb-a", {*IpNet::parse("10.9.0.1/22")}};
    rules.v4.is_unprotected = true;
    rules.v6.is_routed = true;
    rules.trusted = {"eth7"};
    rules.v4.source = *IpAddress::parse("10.0.0.9");
    const Status made = firewall->create({}, {port("10.9.0.2", 80, "10.9.0.2", 80)}, "");
    ASSERT_TRUE(made.is_ok()) << made.to_string();
    const std::string before = ruleset();
    ASSERT_TRUE(firewall->add(rules).is_ok());
    for (const char* line :
         {"meta nfproto ipv4 iifname != @bridges oifname @unprotected4 accept",
          "meta l4proto ipv6-icmp oifname @routed6 accept",
          "oifname @routed6 ip6 daddr . meta l4proto . th dport @published6 accept",
          "iifname . oifname @trusted ip daddr . meta l4proto . th dport @published4 accept",
          "elements = { 10.9.0.2 . tcp . 80 }", "elements = { \"eth7\" . \"pb-a\" }",
          "elements = { \"pb-a\" : 10.0.0.9 }", "snat ip to iifname map @sources4"}) {
      EXPECT_NE(ruleset().find(line), std::string::npos) << line << " in\n" << ruleset();
    }
    EXPECT_EQ(ruleset().find("80 : 10.9.0.2"), std::string::npos);  // nothing leads to it
    EXPECT_TRUE(firewall->take_out(rules).is_ok());
    EXPECT_EQ(ruleset(), before);
  });
}

TEST_F(NetworkTest, PublishedPortsAreElements) {
  apart([] {
    auto firewall = BridgeFirewall::open("pouch_t2");
    auto ports = PortRules::open("pouch_t2");
    ASSERT_TRUE(firewall.is_ok() && ports.is_ok());
    const PortRule all = port("0.0.0.0", 8080, "10.9.0.2", 80);
    const PortRule one = port("127.0.0.1", 53, "10.9.0.2", 5353, IPPROTO_UDP);
    const PortRule six = port("::", 80, "fd00::2", 80, IPPROTO_SCTP);
    const PortRule six_one = port("fd00::1", 80, "fd00::2", 81);
    EXPECT_EQ(ports->add({all}).code(), Code::kNotFound);
    EXPECT_TRUE(ports->remove({all}).is_ok());
    const Status made = firewall->create({{"pb-t2", {*IpNet::parse("10.9.0.1/22")}}}, {all}, "");
    ASSERT_TRUE(made.is_ok()) << made.to_string();
    const size_t rules = ruleset().size();
    const Status added = ports->add({all, one, six, six_one});  // again, and more
    ASSERT_TRUE(added.is_ok()) << added.to_string();
    for (const char* line :
         {"elements = { tcp . 8080 : 10.9.0.2 . 80 }",
          "elements = { 127.0.0.1 . udp . 53 : 10.9.0.2 . 5353 }", "elements = { sctp . 80 : fd00::2 . 80 }",
          "elements = { fd00::1 . tcp . 80 : fd00::2 . 81 }",
          "dnat ip to ip daddr . meta l4proto . th dport map @ports4\n",
          "dnat ip to meta l4proto . th dport map @ports4_all\n",
          "dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6\n",
          "dnat ip6 to meta l4proto . th dport map @ports6_all\n", "fib daddr type local jump ports",
          "ip daddr 127.0.0.0/8 return", "ip daddr 127.0.0.0/8 iifname @bridges drop",
          "ip saddr 127.0.0.0/8 iifname @bridges drop", "ip6 daddr ::1 return", "ct status dnat accept",
          "ip saddr 127.0.0.0/8 oifname @bridges masquerade",
          "ct status dnat ip saddr @masqueraded oifname @bridges masquerade"}) {
      EXPECT_NE(ruleset().find(line), std::string::npos) << line << " in\n" << ruleset();
    }
    ASSERT_TRUE(ports->add({port("0.0.0.0", 8080, "10.9.0.3", 81)}).is_ok());  // leads elsewhere now
    EXPECT_NE(ruleset().find("tcp . 8080 : 10.9.0.3 . 81"), std::string::npos) << ruleset();
    EXPECT_EQ(ruleset().find("10.9.0.2 . 80"), std::string::npos);
    EXPECT_TRUE(ports->remove({port("10.9.0.2", 80, "10.9.0.2", 80)}).is_ok());  // published no more
    EXPECT_EQ(ruleset().find("10.9.0.2 . tcp . 80"), std::string::npos);
    EXPECT_TRUE(ports->remove({one, port("0.0.0.0", 9, "10.9.0.3", 9), six}).is_ok());
    EXPECT_TRUE(ports->remove({six_one}).is_ok());
    EXPECT_EQ(ruleset().size(), rules);
    // Many at once: the rules are as few as before.
    std::vector<PortRule> many;
    for (uint16_t i = 1; i <= 2000; ++i) many.push_back(port("0.0.0.0", i, "10.9.0.2", i));
    ASSERT_TRUE(ports->add(many).is_ok());
    EXPECT_TRUE(ports->remove(many).is_ok());
    EXPECT_EQ(ruleset().size(), rules);
  });
}

// One socket that sends to one port all the time; who gets it?
class Talk {
 public:
  Talk(const char* address, uint16_t port) : client_(make()), to_(place(address, port)) {}

  void send() { ::sendto(client_.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to_), sizeof to_); }
  bool arrives_at(const char* address, uint16_t port) {
    const UniqueFd server = make();
    const sockaddr_in here = place(address, port);
    EXPECT_EQ(::bind(server.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here), 0);
    send();
    char byte = 0;
    return ::recv(server.get(), &byte, 1, 0) == 1;
  }

 private:
  static UniqueFd make() { return UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }
  static sockaddr_in place(const char* address, uint16_t port) {
    sockaddr_in out = {};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    ::inet_pton(AF_INET, address, &out.sin_addr);
    return out;
  }
  UniqueFd client_;
  sockaddr_in to_;
};

TEST_F(NetworkTest, DatagramsFollowAPortThatComesAndGoes) {
  apart([] {
    auto links = Links::open();
    ASSERT_TRUE(links.is_ok() && links->set_up(1).is_ok());
    for (const char* address : {"10.9.0.1/32", "10.9.0.2/32", "10.9.0.3/32"}) {
      ASSERT_TRUE(links->add_address(1, *IpNet::parse(address)).is_ok());
    }
    auto firewall = BridgeFirewall::open("pouch_t3");
    auto ports = PortRules::open("pouch_t3");
    ASSERT_TRUE(firewall.is_ok() && ports.is_ok());
    ASSERT_TRUE(firewall->create({{"pb-t3", {*IpNet::parse("10.9.1.1/24")}}}, {}, "").is_ok());
    Talk talk("10.9.0.1", 53);
    ASSERT_TRUE(talk.arrives_at("10.9.0.1", 53));
    for (const char* target : {"10.9.0.2", "10.9.0.3"}) {
      const PortRule rule = port("0.0.0.0", 53, target, 5353, IPPROTO_UDP);
      ASSERT_TRUE(ports->add({rule}).is_ok());
      ASSERT_TRUE(forget_datagram_flows({rule}).is_ok());
      EXPECT_TRUE(talk.arrives_at(target, 5353));
    }
    const PortRule last = port("0.0.0.0", 53, "10.9.0.3", 5353, IPPROTO_UDP);
    ASSERT_TRUE(ports->remove({last}).is_ok());
    ASSERT_TRUE(forget_datagram_flows({last}).is_ok());
    EXPECT_TRUE(talk.arrives_at("10.9.0.1", 53));
  });
}

// Who publishes port 53 does not mean the flows to everybody's port 53 that the host passes on.
TEST_F(NetworkTest, DatagramsToOthersAreLeftAlone) {
  apart([] {
    // Which would have flows of its own.
    set_net_setting("ipv6/conf/all/disable_ipv6", "1").ignore();
    set_net_setting("ipv6/conf/default/disable_ipv6", "1").ignore();
    auto links = Links::open();
    ASSERT_TRUE(links.is_ok() && links->set_up(1).is_ok());
    // No bridge, which tells of its multicast groups; and nobody is asked for, so that no packet waits for an
    // answer.
    ASSERT_EQ(::system("ip link add others type veth peer name peer && ip link set peer up && "
                       "ip link set others up && ip address add 10.9.0.1/24 dev others && "
                       "ip neighbour add 10.9.0.77 lladdr 02:00:00:00:00:02 dev others"),
              0);
    auto firewall = BridgeFirewall::open("pouch_t4");
    ASSERT_TRUE(firewall.is_ok());
    ASSERT_TRUE(firewall->create({{"pb-t4", {*IpNet::parse("10.9.1.1/24")}}}, {}, "").is_ok());
    Talk others("10.9.0.77", 53);
    Talk own("10.9.0.1", 53);
    Talk loopback("127.0.0.1", 53);
    others.send();
    own.send();
    loopback.send();
    const auto flows = [] { return *read_file("/proc/sys/net/netfilter/nf_conntrack_count", 32); };
    ASSERT_EQ(flows(), "3\n");
    ASSERT_TRUE(forget_datagram_flows({port("0.0.0.0", 53, "10.9.1.2", 5353, IPPROTO_UDP)}).is_ok());
    EXPECT_EQ(flows(), "1\n");
  });
}

}  // namespace
}  // namespace pouch::sys
