#include "core/cni/outcome.h"

#include <gtest/gtest.h>

namespace pouch::cni {
namespace {

Json json(const std::string& text) {
  const auto value = parse_json(text);
  EXPECT_TRUE(value.is_ok()) << value.status().to_string() << text;
  return value.is_ok() ? *value : Json();
}

Outcome outcome(const std::string& text, const std::string& fallback = "0.1.0") {
  const auto parsed = parse_outcome(json(text), fallback);
  EXPECT_TRUE(parsed.is_ok()) << parsed.status().to_string();
  return parsed.is_ok() ? *parsed : Outcome();
}

constexpr const char* kOld = R"({"cniVersion":"0.2.0",
  "ip4":{"ip":"10.1.0.5/16","gateway":"10.1.0.1","routes":[{"dst":"0.0.0.0/0"}]},
  "ip6":{"ip":"fd00::5/64","routes":[{"dst":"::/0","gw":"fd00::1"}]},
  "dns":{"nameservers":["10.1.0.1"],"domain":"d","search":["s"],"options":["o"]}})";

constexpr const char* kMarked = R"({"cniVersion":"0.4.0",
  "interfaces":[{"name":"br0","mac":"0a:00:00:00:00:01"},{"name":"eth0","sandbox":"/run/netns/x"}],
  "ips":[{"version":"4","address":"10.1.0.5/16","gateway":"10.1.0.1","interface":1},
         {"version":"6","address":"fd00::5/64","interface":0}],
  "routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}],"dns":{}})";

TEST(OutcomeTest, ReadsFamilies) {
  const Outcome result = outcome(kOld);
  ASSERT_EQ(result.ips.size(), 2U);
  EXPECT_EQ(result.ips[0].address, "10.1.0.5/16");
  EXPECT_EQ(result.ips[0].gateway, "10.1.0.1");
  EXPECT_EQ(result.ips[0].interface, -1);
  EXPECT_EQ(result.ips[1].address, "fd00::5/64");
  ASSERT_EQ(result.routes.size(), 2U);
  EXPECT_EQ(result.routes[1].dst, "::/0");
  EXPECT_EQ(result.routes[1].gw, "fd00::1");
  EXPECT_EQ(result.dns.nameservers, std::vector<std::string>{"10.1.0.1"});
  EXPECT_EQ(result.dns.domain, "d");
  EXPECT_EQ(result.dns.search, std::vector<std::string>{"s"});
  EXPECT_EQ(result.dns.options, std::vector<std::string>{"o"});
  EXPECT_EQ(result.container_ips().size(), 2U);
  EXPECT_EQ(result.container_interface("eth0"), nullptr);
}

TEST(OutcomeTest, ReadsLists) {
  const Outcome result = outcome(kMarked);
  ASSERT_EQ(result.interfaces.size(), 2U);
  EXPECT_EQ(result.interfaces[0].mac, "0a:00:00:00:00:01");
  ASSERT_EQ(result.container_ips().size(), 1U);
  EXPECT_EQ(result.container_ips()[0].address, "10.1.0.5/16");
  ASSERT_NE(result.container_interface("eth0"), nullptr);
  EXPECT_EQ(result.container_interface("eth0")->sandbox, "/run/netns/x");
  EXPECT_EQ(result.container_interface("br0"), nullptr);  // the host's
  const Outcome newest =
      outcome(R"({"cniVersion":"1.1.0","interfaces":[{"name":"eth0","mtu":1400}],"ips":null})");
  EXPECT_EQ(newest.interfaces[0].mtu, 1400);
  // A version that is not said is the one that was spoken.
  EXPECT_EQ(outcome(R"({"ips":[{"address":"10.0.0.1/8"}]})", "1.0.0").ips.size(), 1U);
  EXPECT_TRUE(outcome(R"({"ips":[{"address":"10.0.0.1/8"}]})", "0.2.0").ips.empty());
}

TEST(OutcomeTest, IsConvertedBetweenVersions) {
  const Json plain = convert_outcome(outcome(kMarked), "1.0.0");
  EXPECT_EQ(plain, json(R"({"cniVersion":"1.0.0",
    "interfaces":[{"name":"br0","mac":"0a:00:00:00:00:01"},{"name":"eth0","sandbox":"/run/netns/x"}],
    "ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1","interface":1},
           {"address":"fd00::5/64","interface":0}],
    "routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}],"dns":{}})"));
  Json back = convert_outcome(outcome(write_json(plain)), "0.4.0");
  EXPECT_EQ(back, json(kMarked));
  back["cniVersion"] = "0.3.0";
  EXPECT_EQ(convert_outcome(outcome(kMarked), "0.3.0"), back);

  EXPECT_EQ(convert_outcome(outcome(kOld), "1.1.0"), json(R"({"cniVersion":"1.1.0",
    "ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1"},{"address":"fd00::5/64"}],
    "routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0","gw":"fd00::1"}],
    "dns":{"nameservers":["10.1.0.1"],"domain":"d","search":["s"],"options":["o"]}})"));
  const Json marked = convert_outcome(outcome(kOld), "0.3.1");
  EXPECT_EQ(marked["ips"][0]["version"].asString(), "4");
  EXPECT_EQ(marked["ips"][1]["version"].asString(), "6");
  EXPECT_EQ(convert_outcome(outcome(write_json(marked)), "0.2.0"), json(kOld));
  EXPECT_EQ(convert_outcome(outcome(kMarked), "0.1.0"), json(R"({"cniVersion":"0.1.0",
    "ip4":{"ip":"10.1.0.5/16","gateway":"10.1.0.1","routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}]},
    "ip6":{"ip":"fd00::5/64"},"dns":{}})"));
}

TEST(OutcomeTest, TellsWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "CNI result: it is no object"},
      {R"({"cniVersion":"7.0.0"})", "CNI result: its version \"7.0.0\" is unknown"},
      {R"({"cniVersion":1})", "CNI result: \"cniVersion\" is no string"},
      {R"({"ips":{}})", "CNI result: \"ips\" is no array"},
      {R"({"ips":[1]})", "CNI result: \"ips\" holds something that is no object"},
      {R"({"ips":[{}]})", "CNI result: an address that is missing"},
      {R"({"ips":[{"address":5}]})", "CNI result: \"address\" is no string"},
      {R"({"ips":[{"address":"10.0.0.1/8","interface":0}]})",
       "CNI result: \"10.0.0.1/8\" is on an interface that is not in the list"},
      {R"({"interfaces":[{"name":[]}]})", "CNI result: \"name\" is no string"},
      {R"({"routes":"x"})", "CNI result: \"routes\" is no array"},
      {R"({"dns":[]})", "CNI result: \"dns\" is no object"},
      {R"({"dns":{"search":"x"}})", "CNI result: \"search\" is no array"},
      {R"({"dns":{"search":[1]}})", "CNI result: \"search\" holds something that is no string"},
      {R"({"cniVersion":"0.2.0","ip4":"x"})", "CNI result: \"ip4\" is no object"},
  };
  for (const auto& [text, message] : cases) {
    const auto parsed = parse_outcome(json(text), "1.0.0");
    EXPECT_EQ(parsed.code(), Code::kInvalidArgument) << text;
    EXPECT_EQ(parsed.status().message(), message) << text;
  }
}

}  // namespace
}  // namespace pouch::cni
