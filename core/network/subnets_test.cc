#include "core/network/subnets.h"

#include <gtest/gtest.h>

#include <set>

namespace pouch::network {
namespace {

sys::IpNet net(const char* text) {
  return *sys::IpNet::parse(text);
}

TEST(SubnetsTest, DefaultsDoNotOverlap) {
  const auto subnets = default_subnets();
  ASSERT_EQ(subnets.size(), 1024U + 64U);
  EXPECT_EQ(subnets.front().to_string(), "10.192.0.0/22");
  EXPECT_EQ(subnets.back().to_string(), "172.16.252.0/22");
  for (size_t i = 1; i < subnets.size(); ++i) EXPECT_FALSE(subnets[i - 1].overlaps(subnets[i]));
}

TEST(SubnetsTest, FreeOnesAreChosenAround) {
  const std::vector<sys::IpNet> candidates{net("10.0.0.0/22"), net("10.0.4.0/22"), net("10.0.8.0/22")};
  EXPECT_EQ(choose_subnet(candidates, 1, {})->to_string(), "10.0.4.0/22");
  EXPECT_EQ(choose_subnet(candidates, 4, {})->to_string(), "10.0.4.0/22");
  EXPECT_EQ(choose_subnet(candidates, 1, {net("10.0.5.7/32"), net("10.0.8.0/21")})->to_string(),
            "10.0.0.0/22");
  EXPECT_FALSE(choose_subnet(candidates, 0, {net("10.0.0.0/8")}).has_value());
  EXPECT_FALSE(choose_subnet({}, 0, {}).has_value());
}

TEST(SubnetsTest, UsedAreAddressesAndRoutesButDefaultOnesAndOnesOwn) {
  const std::vector<sys::LinkAddress> addresses{{net("10.0.0.1/22"), 7}, {net("192.168.1.5/24"), 2}};
  const std::vector<sys::Route> routes{
      {net("0.0.0.0/0"), {}, 2}, {net("10.0.0.0/22"), {}, 7}, {net("10.9.0.0/16"), {}, 3}};
  const auto used = used_subnets(addresses, routes, 7);
  ASSERT_EQ(used.size(), 2U);
  EXPECT_EQ(used[0].to_string(), "192.168.1.5/24");
  EXPECT_EQ(used[1].to_string(), "10.9.0.0/16");
}

TEST(SubnetsTest, AddressesAreHandedOutInTurnAndNeverTwice) {
  const sys::IpNet subnet = net("10.0.0.0/29");
  EXPECT_EQ(gateway_of(subnet).to_string(), "10.0.0.1");
  std::set<std::string> taken{"10.0.0.1"};
  const auto is_taken = [&](const sys::IpAddress& a) -> Result<bool> {
    return taken.contains(a.to_string());
  };
  sys::IpAddress last;
  std::vector<std::string> given;
  for (int i = 0; i < 5; ++i) {
    const auto next = next_address(subnet, subnet, last, is_taken);
    ASSERT_TRUE(next.is_ok());
    last = *next;
    taken.insert(last.to_string());
    given.push_back(last.to_string());
  }
  EXPECT_EQ(given, (std::vector<std::string>{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}));
  EXPECT_EQ(next_address(subnet, subnet, last, is_taken).code(), Code::kResourceExhausted);
  taken.erase("10.0.0.2");
  taken.erase("10.0.0.4");
  EXPECT_EQ(next_address(subnet, subnet, *sys::IpAddress::parse("10.0.0.3"), is_taken)->to_string(),
            "10.0.0.4");
  EXPECT_EQ(next_address(subnet, subnet, last, is_taken)->to_string(), "10.0.0.2");
  // A former subnet's.
  EXPECT_EQ(next_address(subnet, subnet, *sys::IpAddress::parse("10.9.0.3"), is_taken)->to_string(),
            "10.0.0.2");
}

TEST(SubnetsTest, ARangeLimitsWhatIsHandedOut) {
  std::set<std::string> taken;
  const auto is_taken = [&](const sys::IpAddress& a) -> Result<bool> {
    return taken.contains(a.to_string());
  };
  const sys::IpNet range = net("10.0.0.252/30");
  std::vector<std::string> given;
  for (int i = 0; i < 3; ++i) {
    const auto next = next_address(net("10.0.0.0/24"), range, {}, is_taken);
    ASSERT_TRUE(next.is_ok());
    given.push_back(next->to_string());
    taken.insert(given.back());
  }
  // The last one is the broadcast address.
  EXPECT_EQ(given, (std::vector<std::string>{"10.0.0.252", "10.0.0.253", "10.0.0.254"}));
  EXPECT_EQ(next_address(net("10.0.0.0/24"), range, {}, is_taken).code(), Code::kResourceExhausted);
  const sys::IpNet wide = net("fd00::/64");
  EXPECT_EQ(next_address(wide, wide, {}, is_taken)->to_string(), "fd00::1");
}

TEST(SubnetsTest, RandomIpv6SubnetsAreUniqueLocal) {
  const sys::IpNet one = random_subnet6();
  EXPECT_EQ(one.prefix, 64U);
  EXPECT_EQ(one.first(), one.address);
  EXPECT_TRUE(net("fd00::/8").contains(one.address));
  EXPECT_FALSE(one.overlaps(random_subnet6()));
}

TEST(SubnetsTest, MacAddressesFollowTheAddress) {
  EXPECT_EQ(sys::mac_text(mac_of(*sys::IpAddress::parse("10.192.1.2"))), "02:42:0a:c0:01:02");
}

}  // namespace
}  // namespace pouch::network
