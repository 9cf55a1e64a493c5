#include "core/spec/ports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pouch::spec {
namespace {

using testing::HasSubstr;

api::PortBinding binding(const std::string& address, const std::string& port) {
  api::PortBinding out;
  out.host_ip = address;
  out.host_port = port;
  return out;
}

TEST(Ports, OfAContainer) {
  EXPECT_EQ(parse_container_port("80")->text(), "80/tcp");
  EXPECT_EQ(parse_container_port("53/UDP")->text(), "53/udp");
  EXPECT_EQ(parse_container_port("65535/sctp")->text(), "65535/sctp");
  for (const char* bad : {"", "/tcp", "0/tcp", "65536", "-1", "80-81/tcp", "http", "80 ", "+80"}) {
    EXPECT_THAT(parse_container_port(bad).status().message(), HasSubstr("invalid port specification")) << bad;
  }
  EXPECT_THAT(parse_container_port("80/icmp").status().message(), HasSubstr("invalid proto"));
}

TEST(Ports, RequestsAreInOrderOfTheirFreedom) {
  const auto got =
      port_requests({{"1/tcp", std::vector{binding("", "")}},
                     {"2/udp", std::vector{binding("::1", "8000-8010"), binding("10.0.0.1", "53")}},
                     {"3/tcp", std::vector<api::PortBinding>{}},
                     {"4/tcp", {}},
                     {"5/tcp", std::vector{binding("", "0")}}});
  ASSERT_TRUE(got.is_ok()) << got.status().to_string();
  ASSERT_EQ(got->size(), 4U);
  EXPECT_TRUE((*got)[0].is_fixed());
  EXPECT_EQ((*got)[0].first, 53);
  EXPECT_EQ((*got)[0].host_address, "10.0.0.1");
  EXPECT_EQ((*got)[1].first, 8000);
  EXPECT_EQ((*got)[1].last, 8010);
  EXPECT_EQ((*got)[2].port.text(), "1/tcp");
  EXPECT_EQ((*got)[2].first, 0);
  EXPECT_EQ((*got)[3].port.text(), "5/tcp");
}

TEST(Ports, BadRequests) {
  for (const char* bad : {"x", "80-", "-80", "90-80", "0-5", "70000", "80-90-100"}) {
    const auto got = port_requests({{"1/tcp", std::vector{binding("", bad)}}});
    EXPECT_THAT(got.status().message(), HasSubstr("invalid port specification")) << bad;
  }
  EXPECT_EQ(port_requests({{"x/tcp", std::vector{binding("", "80")}}}).code(), Code::kInvalidArgument);
}

TEST(Ports, PublishAll) {
  api::ContainerConfig config;
  config.exposed_ports.emplace();
  (*config.exposed_ports)["80/tcp"];
  (*config.exposed_ports)["81/tcp"];
  api::HostConfig host;
  EXPECT_FALSE(with_all_published(config, host).port_bindings);
  host.publish_all_ports = true;
  host.port_bindings.emplace()["80/tcp"] = std::vector{binding("", "8080")};
  const auto got = port_requests(*with_all_published(config, host).port_bindings);
  ASSERT_EQ(got->size(), 2U);
  EXPECT_EQ((*got)[0].first, 8080);
  EXPECT_EQ((*got)[1].port.text(), "81/tcp");
  EXPECT_EQ((*got)[1].first, 0);
}

}  // namespace
}  // namespace pouch::spec
