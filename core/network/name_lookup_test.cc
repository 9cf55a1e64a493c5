#include "core/network/name_lookup.h"

#include <gtest/gtest.h>

namespace pouch::network {
namespace {

using Lines = std::vector<std::string>;

TEST(NameLookup, servers_of_a_resolv_conf) {
  EXPECT_EQ(name_servers_in(
                "# nameserver 1.1.1.1\nnameserver 192.0.2.1\n  nameserver\tfd00::1 # x\nsearch nameserver\n"
                "nameserver\nnameservers 1.1.1.1\nnameserver fe80::1%lo"),
            (Lines{"192.0.2.1", "fd00::1", "fe80::1%1"}));
  EXPECT_EQ(name_servers_in(""), Lines{});
}

TEST(NameLookup, dots) {
  EXPECT_TRUE(wants_dots({"edns0", "ndots:2"}));
  EXPECT_FALSE(wants_dots({"ndots:0", "timeout:1"}));
}

TEST(NameLookup, links) {
  EXPECT_EQ(parse_link("/db:/web/alias"), std::pair(std::string("db"), std::string("alias")));
  EXPECT_EQ(parse_link("db"), std::pair(std::string("db"), std::string("db")));
}

}  // namespace
}  // namespace pouch::network
