#include <gtest/gtest.h>

#include <set>

#include "core/network/bridge_rules.h"
#include "core/network/endpoint_options.h"
#include "core/network/ipam.h"
#include "core/network/legs.h"
#include "core/network/list_filter.h"
#include "core/network/mode.h"
#include "core/network/options.h"

namespace pouch::network {
namespace {

api::NetworkCreateConfig with_pools(std::vector<api::IPAMConfig> pools) {
  api::NetworkCreateConfig config;
  config.ipam = api::IPAMRequest{};
  config.ipam->config = std::move(pools);
  return config;
}

api::IPAMConfig pool(const char* subnet, const char* range = "", const char* gateway = "") {
  api::IPAMConfig out;
  out.subnet = subnet;
  if (*range != 0) out.ip_range = range;
  if (*gateway != 0) out.gateway = gateway;
  return out;
}

TEST(EndpointOptionsTest, DockersNamesAndValues) {
  const auto read = [](const std::string& name, const std::string& value) {
    api::EndpointSettings asked;
    asked.driver_opts.emplace()["com.docker.network.endpoint." + name] = value;
    return endpoint_options(asked);
  };
  EXPECT_EQ(read("ifname", "lan0")->link, "lan0");
  const auto settings = read("sysctls", "net.ipv4.conf.IFNAME.log_martians=1, net.ipv6.conf.ifname.mtu=1400");
  const sys::NetSettings expected{{"ipv4/conf/IFNAME/log_martians", "1"}, {"ipv6/conf/IFNAME/mtu", "1400"}};
  EXPECT_EQ(settings->settings, expected);
  for (const char* bad : {"net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.IFNAME.x",
                          "net.ipv4.conf.IFNAME./x=1", "kernel.a.b.IFNAME.c=1", ""}) {
    EXPECT_EQ(read("sysctls", bad).code(), Code::kInvalidArgument) << bad;
  }
  for (const char* bad : {"", "a/b", "0123456789abcdef"}) {
    EXPECT_EQ(read("ifname", bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(read("colour", "red").code(), Code::kNotImplemented);
  EXPECT_TRUE(endpoint_options({}).is_ok());
}

TEST(BridgeOptionsTest, DockersNamesAndValues) {
  const auto options = bridge_options({{"com.docker.network.bridge.enable_icc", "f"},
                                       {"com.docker.network.bridge.enable_ip_masquerade", "FALSE"},
                                       {"com.docker.network.bridge.name", "br9"},
                                       {"com.docker.network.container_iface_prefix", "net"},
                                       {"com.docker.network.bridge.host_binding_ipv4", "127.0.0.1"},
                                       {"com.docker.network.driver.mtu", "1400"},
                                       {"nobodys", "x"}});
  ASSERT_TRUE(options.is_ok());
  EXPECT_FALSE(options->icc);
  EXPECT_FALSE(options->masquerade);
  EXPECT_EQ(options->device, "br9");
  EXPECT_EQ(options->link_prefix, "net");
  EXPECT_EQ(options->mtu, 1400);
  EXPECT_EQ(options->host_binding, "127.0.0.1");
}

TEST(BridgeOptionsTest, BadValuesAreNamed) {
  const std::pair<const char*, const char*> bad[] = {
      {"com.docker.network.bridge.enable_icc", "perhaps"},
      {"com.docker.network.bridge.name", "a/b"},
      {"com.docker.network.bridge.name", "sixteen-letters-"},
      {"com.docker.network.bridge.host_binding_ipv4", "::1"},
      {"com.docker.network.host_ipv4", "::1"},
      {"com.docker.network.host_ipv6", "10.0.0.1"},
      {"com.docker.network.bridge.trusted_host_interfaces", "eth0:sixteen-letters-"},
      {"com.docker.network.container_iface_prefix", ""},
      {"com.docker.network.driver.mtu", "12x"},
      {"com.docker.network.driver.mtu", "-1"}};
  for (const auto& [name, value] : bad) {
    EXPECT_EQ(bridge_options({{name, value}}).code(), Code::kInvalidArgument) << name << "=" << value;
  }
}

TEST(BridgeOptionsTest, WaysInAndOut) {
  const auto options = bridge_options({{"com.docker.network.bridge.gateway_mode_ipv4", "nat-unprotected"},
                                       {"com.docker.network.bridge.gateway_mode_ipv6", "routed"},
                                       {"com.docker.network.bridge.trusted_host_interfaces", "eth0::wg0"},
                                       {"com.docker.network.host_ipv4", "10.0.0.1"},
                                       {"com.docker.network.host_ipv6", "fd00::1"}});
  ASSERT_TRUE(options.is_ok());
  EXPECT_EQ(options->mode(true), GatewayMode::kNatUnprotected);
  EXPECT_EQ(options->mode(false), GatewayMode::kRouted);
  EXPECT_EQ(options->trusted, (std::vector<std::string>{"eth0", "wg0"}));
  EXPECT_EQ(options->source4, "10.0.0.1");
  EXPECT_EQ(options->source6, "fd00::1");
  EXPECT_EQ(bridge_options({})->mode(true), GatewayMode::kNat);
  EXPECT_EQ(bridge_options({{"com.docker.network.bridge.gateway_mode_ipv4", "bent"}}).status().message(),
            "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: bent (unknown gateway mode "
            "bent)");
}

TEST(BridgeRulesTest, WhatTheFirewallIsToldOfANetwork) {
  NetworkRow row;
  row.device = "pb-a";
  row.pools = {{"10.1.0.0/24", "10.1.0.1", "", {}, "", false}, {"fd00::/64", "fd00::1", "", {}, "", false}};
  row.options = {{"com.docker.network.bridge.gateway_mode_ipv6", "routed"},
                 {"com.docker.network.bridge.trusted_host_interfaces", "eth7"},
                 {"com.docker.network.host_ipv4", "10.0.0.9"}};
  const sys::BridgeRules rules = rules_of(row);
  EXPECT_TRUE(rules.v6.is_routed && !rules.v4.is_routed && !rules.v4.is_unprotected);
  ASSERT_EQ(rules.masqueraded.size(), 1U);  // what is routed leaves as itself
  EXPECT_EQ(rules.masqueraded.front().to_string(), "10.1.0.0/24");
  EXPECT_EQ(rules.v4.source.to_string(), "10.0.0.9");
  EXPECT_EQ(rules.trusted, std::vector<std::string>{"eth7"});
  row.internal = true;  // none of it lets anything into that
  EXPECT_FALSE(rules_of(row).v6.is_routed);
  EXPECT_TRUE(rules_of(row).trusted.empty());
  row.internal = false;
  row.options["com.docker.network.bridge.enable_ip_masquerade"] = "false";
  EXPECT_TRUE(rules_of(row).masqueraded.empty() && !rules_of(row).v4.source.is_valid());
}

spec::PortRequest request(const char* host, uint16_t number) {
  return {{"tcp", 80}, host, number, number};
}

TEST(PortChoiceTest, WaysOfAFamilyAreTheHostsOrTheContainersOwn) {
  const auto v4 = *sys::IpAddress::parse("10.1.0.2");
  const auto v6 = *sys::IpAddress::parse("fd00::2");
  const auto shown = [](const spec::PortRequest& asked, const std::vector<PortTarget>& targets) {
    std::vector<std::string> out;
    const auto ways = ways_of(asked, targets);
    if (!ways.is_ok()) return std::vector<std::string>{ways.status().message()};
    for (const PortWay& way : *ways) {
      const PublishedPort port = way.at(asked.port, asked.first);
      out.push_back(port.host_address + " " + std::to_string(port.host_port) + " " + port.address);
    }
    return out;
  };
  using Texts = std::vector<std::string>;
  const std::vector<PortTarget> mixed{{v4, false, ""}, {v6, true, ""}};
  EXPECT_EQ(shown(request("", 8080), mixed), (Texts{"0.0.0.0 8080 10.1.0.2", "fd00::2 80 fd00::2"}));
  EXPECT_EQ(shown(request("127.0.0.1", 8080), mixed), Texts{"127.0.0.1 8080 10.1.0.2"});
  EXPECT_EQ(shown(request("", 8080), {{v4, false, "127.0.0.9"}, {v6, false, ""}}),
            Texts{"127.0.0.9 8080 10.1.0.2"});
  EXPECT_EQ(shown(request("", 8080), {{v4, true, ""}}), Texts{"10.1.0.2 80 10.1.0.2"});  // nothing is relayed
  EXPECT_EQ(ways_of(request("::1", 8080), {{v4, true, ""}}).code(), Code::kNotImplemented);
  const auto direct = ways_of(request("", 0), {{v4, true, ""}});
  EXPECT_EQ(candidates(request("", 0), *direct).size(), 1U);
  const auto both = ways_of(request("", 0), mixed);
  EXPECT_GT(candidates(request("", 0), *both).size(), 1000U);
}

TEST(IpamTest, GatewaysAreTheFirstAddressesUnlessNamed) {
  const auto pools = pools_of(with_pools({pool("10.1.0.0/24", "10.1.0.128/25")}));
  ASSERT_TRUE(pools.is_ok());
  EXPECT_EQ(pools->front().gateway, "10.1.0.1");
  EXPECT_EQ(pools->front().ip_range, "10.1.0.128/25");
  EXPECT_FALSE(pools->front().chosen);
  EXPECT_EQ(pools_of(with_pools({pool("10.1.0.0/24", "", "10.1.0.9")}))->front().gateway, "10.1.0.9");
}

TEST(IpamTest, WhatIsWrongIsSaidInMobysWords) {
  const std::pair<api::IPAMConfig, const char*> cases[] = {
      {pool("10.1"), "invalid subnet 10.1: invalid CIDR block notation"},
      {pool("10.1.0.1/24"), "invalid subnet 10.1.0.1/24: it should be 10.1.0.0/24"},
      {pool("10.1.0.0/24", "10.2.0.0/25"), "parent subnet 10.1.0.0/24 doesn't contain ip-range"},
      {pool("10.1.0.0/24", "10.0.0.0/8"), "CIDR block is bigger than its parent subnet 10.1.0.0/24"},
      {pool("10.1.0.0/24", "", "10.2.0.1"),
       "invalid gateway 10.2.0.1: parent subnet 10.1.0.0/24 doesn't contain"},
      {pool("10.1.0.0/24", "", "fd00::1"), "parent subnet is an IPv4 block"}};
  for (const auto& [asked, words] : cases) {
    const auto pools = pools_of(with_pools({asked}));
    EXPECT_EQ(pools.code(), Code::kInvalidArgument);
    EXPECT_NE(pools.status().message().find(words), std::string::npos) << pools.status().message();
  }
  EXPECT_EQ(pools_of(with_pools({pool("10.1.0.0/24"), pool("10.2.0.0/24")})).code(), Code::kPermissionDenied);
  EXPECT_EQ(pools_of(with_pools({pool("fd00::/64")})).code(), Code::kInvalidArgument);  // without EnableIPv6
}

TEST(IpamTest, ChosenSubnetsAvoidTheUsedAndEndWithThem) {
  NetworkRow row;
  row.ipv6 = true;
  ASSERT_TRUE(choose_pools(row, {*sys::IpNet::parse("10.192.0.0/13"), *sys::IpNet::parse("10.200.0.0/14"),
                                 *sys::IpNet::parse("10.204.0.0/14")})
                  .is_ok());
  ASSERT_EQ(row.pools.size(), 2U);
  EXPECT_TRUE(row.pool(true)->subnet.starts_with("172.16."));
  EXPECT_TRUE(row.pool(false)->subnet.starts_with("fd"));
  EXPECT_TRUE(row.pool(true)->chosen);
  NetworkRow none;
  EXPECT_EQ(choose_pools(none, {*sys::IpNet::parse("0.0.0.0/0")}).code(), Code::kResourceExhausted);
}

TEST(IpamTest, FixedAddressesNeedASubnetThatTheUserNamed) {
  NetworkRow row;
  row.pools = {{"10.1.0.0/24", "10.1.0.1", "", {}, "", false}};
  api::EndpointSettings asked;
  asked.ipam_config = api::EndpointIPAMConfig{};
  asked.ipam_config->ipv4_address = "10.1.0.7";
  EXPECT_TRUE(check_addresses(row, asked).is_ok());
  for (const char* address : {"10.2.0.7", "10.1.0.0", "10.1.0.255", "fd00::1", "x"}) {
    asked.ipam_config->ipv4_address = address;
    EXPECT_EQ(check_addresses(row, asked).code(), Code::kInvalidArgument) << address;
  }
  asked.ipam_config->ipv4_address = "10.1.0.7";
  row.pools.front().chosen = true;
  EXPECT_EQ(check_addresses(row, asked).code(), Code::kInvalidArgument);
}

Place place(const char* name, int64_t priority, bool internal = false) {
  Place out;
  out.network.id = out.network.name = name;
  out.network.internal = internal;
  out.network.pools = {{"10.1.0.0/24", "10.1.0.1", "", {}, "", true}};
  out.endpoint.endpoint_id = std::string("0123456789") + name;
  out.endpoint.address = "10.1.0.2";
  out.endpoint.link = "eth0";
  out.asked.gw_priority = priority;
  return out;
}

TEST(LegsTest, TheWayOutIsThatOfTheHighestPriorityThenTheFirstByName) {
  const auto way_out = [](const std::vector<Place>& places) -> std::string {
    const auto legs = legs_of("0123456789ab", places);
    for (const NetworkLeg& leg : *legs) {
      if (leg.is_default4) return leg.network_id;
    }
    return "";
  };
  EXPECT_EQ(way_out({place("b", 0), place("a", 0)}), "a");
  EXPECT_EQ(way_out({place("a", 0), place("b", 1)}), "b");
  EXPECT_EQ(way_out({place("a", 9, true), place("b", -1)}), "b");
  EXPECT_EQ(way_out({place("a", 0, true)}), "");
}

TEST(LegsTest, LinksAreNumberedByWhatIsFree) {
  EndpointRow first;
  first.link = "eth0";
  EndpointRow third;
  third.link = "eth2";
  EXPECT_EQ(free_link_name("eth", {first, third}), "eth1");
  EXPECT_EQ(free_link_name("net", {first, third}), "net0");
  EXPECT_EQ(veth_name("0123456789ab", std::string(64, 'c')).size(), 15U);
}

TEST(LegsTest, ModesThatShareANetworkJoinNoOther) {
  NetworkRow row;
  row.driver = "bridge";
  api::HostConfig host;
  EXPECT_TRUE(check_mode(host, row).is_ok());
  for (const char* mode : {"host", "none", "container:x"}) {
    host.network_mode = mode;
    EXPECT_EQ(check_mode(host, row).code(), Code::kInvalidArgument) << mode;
    EXPECT_FALSE(has_own_links(host));
  }
  EXPECT_EQ(joined_container(host), "x");
}

TEST(FilterTest, KeysAndValues) {
  NetworkRow row;
  row.id = "abc";
  row.name = "front";
  row.driver = "bridge";
  row.labels = {{"a", "b"}};
  row.created = Timestamp{1'000'000'000};
  const auto matches = [&](const FilterMap& filters) {
    const auto filter = ListFilter::parse(filters);
    return filter.is_ok() && filter->matches(row, false, true);
  };
  for (const FilterMap& yes : std::vector<FilterMap>{{},
                                                     {{"name", {"ron"}}},
                                                     {{"id", {"x", "ab"}}},
                                                     {{"label", {"a", "a=b"}}},
                                                     {{"type", {"custom"}}},
                                                     {{"dangling", {"true"}}},
                                                     {{"scope", {"local"}}}}) {
    EXPECT_TRUE(matches(yes));
  }
  for (const FilterMap& no : std::vector<FilterMap>{{{"name", {"x"}}},
                                                    {{"label", {"a=c"}}},
                                                    {{"driver", {"host"}}},
                                                    {{"type", {"builtin"}}},
                                                    {{"dangling", {"false"}}},
                                                    {{"scope", {"swarm"}}}}) {
    EXPECT_FALSE(matches(no));
  }
  EXPECT_EQ(ListFilter::parse({{"colour", {"red"}}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(ListFilter::parse({{"dangling", {"x"}}}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(PruneFilter::parse({{"until", {"24h"}}, {"label!", {"z"}}})->matches(row));
  EXPECT_FALSE(PruneFilter::parse({{"label!", {"a"}}})->matches(row));
  EXPECT_EQ(PruneFilter::parse({{"until", {"x"}}}).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace pouch::network
