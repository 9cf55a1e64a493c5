#include "core/sys/ip_net.h"

#include <gtest/gtest.h>

namespace pouch::sys {
namespace {

IpNet net(const char* text) {
  auto parsed = IpNet::parse(text);
  EXPECT_TRUE(parsed.is_ok()) << text;
  return parsed.is_ok() ? *parsed : IpNet();
}

TEST(IpNetTest, AddressesAreParsedAndShown) {
  for (const char* text : {"10.192.0.1", "255.255.255.255", "0.0.0.0", "fd00::1", "::"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address.is_ok()) << text;
    EXPECT_EQ(address->to_string(), text);
  }
  for (const char* text : {"", "10.0.0", "10.0.0.256", "10.0.0.1/8", "fd00::1%eth0", "x"}) {
    EXPECT_EQ(IpAddress::parse(text).code(), Code::kInvalidArgument) << text;
  }
  EXPECT_FALSE(IpAddress().is_valid());
}

TEST(IpNetTest, NetworksAreParsedAndShown) {
  EXPECT_EQ(net("10.1.2.3/22").to_string(), "10.1.2.3/22");
  EXPECT_EQ(net("10.1.2.3/22").first().to_string(), "10.1.0.0");
  EXPECT_EQ(net("10.1.2.3/22").last().to_string(), "10.1.3.255");
  EXPECT_EQ(net("10.1.2.3/32").size(), 1U);
  EXPECT_EQ(net("10.1.2.3/22").size(), 1024U);
  EXPECT_EQ(net("0.0.0.0/0").last().to_string(), "255.255.255.255");
  EXPECT_EQ(net("fd00::5/64").last().to_string(), "fd00::ffff:ffff:ffff:ffff");
  EXPECT_EQ(net("fd00::5/57").first().to_string(), "fd00::");
  for (const char* text : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "/8", "fd00::/129"}) {
    EXPECT_EQ(IpNet::parse(text).code(), Code::kInvalidArgument) << text;
  }
}

TEST(IpNetTest, Arithmetic) {
  EXPECT_EQ(IpAddress::parse("10.0.0.255")->plus(1).to_string(), "10.0.1.0");
  EXPECT_EQ(IpAddress::parse("10.0.0.0")->plus(0x01020304).to_string(), "11.2.3.4");
  EXPECT_EQ(IpAddress::parse("255.255.255.255")->plus(1).to_string(), "0.0.0.0");
  EXPECT_EQ(IpAddress::parse("fd00::ffff:ffff")->plus(2).to_string(), "fd00::1:0:1");
}

TEST(IpNetTest, Overlaps) {
  struct Case {
    const char* a;
    const char* b;
    bool overlap;
  };
  for (const Case& c : {Case{"10.0.0.0/22", "10.0.3.0/24", true}, Case{"10.0.0.0/22", "10.0.4.0/22", false},
                        Case{"10.0.0.0/8", "10.255.255.255/32", true}, Case{"10.0.0.0/8", "fd00::/8", false},
                        Case{"0.0.0.0/0", "10.0.0.0/8", true}}) {
    EXPECT_EQ(net(c.a).overlaps(net(c.b)), c.overlap) << c.a << " " << c.b;
    EXPECT_EQ(net(c.b).overlaps(net(c.a)), c.overlap) << c.b << " " << c.a;
  }
  EXPECT_TRUE(net("10.0.0.0/22").contains(*IpAddress::parse("10.0.3.255")));
  EXPECT_FALSE(net("10.0.0.0/22").contains(*IpAddress::parse("10.0.4.0")));
}

TEST(IpNetTest, MacAddresses) {
  EXPECT_EQ(mac_text(*parse_mac("02:42:0a:C0:00:ff")), "02:42:0a:c0:00:ff");
  for (const char* text :
       {"", "02:42:0a:c0:00", "02:42:0a:c0:00:ff:00", "02-42-0a-c0-00-ff", "2:42:0a:c0:00:ff"}) {
    EXPECT_EQ(parse_mac(text).code(), Code::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace pouch::sys
