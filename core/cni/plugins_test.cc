// Debian's own plugins, between two network namespaces of the test's own: nothing of the host's is touched.

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <thread>

#include "core/base/executor.h"
#include "core/base/id.h"
#include "core/cni/runtime.h"
#include "core/io/testing/test_folder.h"
#include "core/sys/child.h"
#include "core/sys/find_program.h"
#include "core/sys/links.h"
#include "core/sys/mounts.h"
#include "core/sys/net_namespace.h"

namespace pouch::cni {
namespace {

class PluginsTest : public testing::Test {
 protected:
  ~PluginsTest() override { EXPECT_TRUE(sys::unmount_tree(folder_.path()).is_ok()); }

  // On a thread whose network namespace stands for the host's.
  static void apart(const std::function<void()>& body) {
    std::thread thread = start_thread([&] {
      ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
      body();
    });
    thread.join();
  }

  static Call soon() { return {.deadline = Deadline::after_ms(60'000), .cancel = nullptr, .request_id = {}}; }

  NetworkList net() const {
    const auto list =
        parse_list(R"({"cniVersion":"1.0.0","cniVersions":["1.0.0","1.1.0"],"name":")" + name_ + R"(",
      "plugins":[
        {"type":"bridge","bridge":"pct0","isGateway":true,"ipMasq":true,"capabilities":{"ips":true,"mac":true},
         "ipam":{"type":"host-local","dataDir":")" +
                       folder_.file("ipam") + R"(",
                 "ranges":[[{"subnet":"10.83.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
        {"type":"portmap","capabilities":{"portMappings":true}},
        {"type":"firewall","backend":"iptables"}]})",
                   "");
    EXPECT_TRUE(list.is_ok()) << list.status().to_string();
    return *list;
  }

  Attachment attachment() const {
    Attachment attachment = {.container_id = "c-" + name_, .netns = folder_.file("ns"), .ifname = "eth0"};
    attachment.capabilities = *parse_json(R"({"ips":["10.83.0.9/24"],"mac":"0a:53:00:00:00:09",
      "portMappings":[{"hostPort":8083,"containerPort":80,"protocol":"tcp"}]})");
    return attachment;
  }

  // What host-local has given away.
  std::vector<std::string> given() const {
    std::vector<std::string> addresses;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.file("ipam/" + name_), error)) {
      const std::string address = entry.path().filename().string();
      if (address.starts_with("10.")) addresses.push_back(address);
    }
    return addresses;
  }

  static std::string nat_rules() {
    const auto program = sys::find_program("iptables", {});
    if (!program.is_ok()) return program.status().to_string();
    const auto output = sys::run_program({*program, {"-t", "nat", "-S"}, {}}, soon().deadline);
    return output.is_ok() ? output->stdout_text : output.status().to_string();
  }

  const TestFolder folder_;
  const std::string name_ = "pouch-test-" + random_hex(4);
  Runtime runtime_{{"/opt/cni/bin", "/usr/lib/cni"}, folder_.file("results")};
};

void expect_ok(const Status& status) {
  EXPECT_TRUE(status.is_ok()) << status.to_string();
}

// The addresses of the container's link, "" without one.
std::string addresses_of(sys::Links& links, const std::string& name) {
  const auto link = links.find(name);
  const auto addresses = links.addresses();
  std::string text;
  if (!link.is_ok() || !addresses.is_ok()) return text;
  for (const sys::LinkAddress& address : *addresses) {
    if (address.link == link->index && address.net.to_string().find(':') == std::string::npos)
      text += address.net.to_string();
  }
  return text;
}

TEST_F(PluginsTest, ABridgeWithPortsAndAFirewall) {
  apart([&] {
    auto inside = sys::create_net_namespace(folder_.file("ns"), {});
    ASSERT_TRUE(inside.is_ok()) << inside.status().to_string();
    expect_ok(runtime_.status(net(), soon()));
    const auto outcome = runtime_.add(net(), attachment(), soon());
    ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    ASSERT_EQ(outcome->container_ips().size(), 1U);
    EXPECT_EQ(outcome->container_ips()[0].address, "10.83.0.9/24");
    EXPECT_EQ(outcome->container_ips()[0].gateway, "10.83.0.1");
    ASSERT_NE(outcome->container_interface("eth0"), nullptr);
    EXPECT_EQ(outcome->container_interface("eth0")->mac, "0a:53:00:00:00:09");
    EXPECT_EQ(addresses_of(inside->links, "eth0"), "10.83.0.9/24");
    auto host = sys::Links::open();
    ASSERT_TRUE(host.is_ok());
    EXPECT_EQ(addresses_of(*host, "pct0"), "10.83.0.1/24");
    EXPECT_EQ(given(), std::vector<std::string>{"10.83.0.9"});
    EXPECT_NE(nat_rules().find("8083"), std::string::npos) << nat_rules();
    // Without portmap, whose CHECK (1.1.1) wants IPv6 rules of a container that has no IPv6.
    NetworkList checked = net();
    checked.plugins.erase(checked.plugins.begin() + 1);
    expect_ok(runtime_.check(checked, attachment(), soon()));
    expect_ok(runtime_.gc(net(), {{attachment().container_id, "eth0"}}, soon()));
    EXPECT_EQ(addresses_of(inside->links, "eth0"), "10.83.0.9/24");

    Attachment taken = attachment();
    taken.container_id += "-2";
    taken.ifname = "eth1";
    const auto refused = runtime_.add(net(), taken, soon());
    EXPECT_EQ(refused.code(), Code::kInternal);
    EXPECT_TRUE(refused.status().message().starts_with("bridge: ")) << refused.status().to_string();
    EXPECT_EQ(runtime_.cached(name_)->size(), 1U);
    EXPECT_EQ(given(), std::vector<std::string>{"10.83.0.9"});

    expect_ok(inside->links.remove("eth0"));
    const Status lost = runtime_.check(checked, attachment(), soon());
    EXPECT_TRUE(lost.message().starts_with("bridge: ")) << lost.to_string();
    expect_ok(runtime_.del(name_, attachment(), soon()));
    EXPECT_EQ(inside->links.find("eth0").code(), Code::kNotFound);
    EXPECT_TRUE(given().empty());
    EXPECT_EQ(nat_rules().find("8083"), std::string::npos) << nat_rules();
    EXPECT_TRUE(runtime_.cached(name_)->empty());
    expect_ok(sys::remove_net_namespace(folder_.file("ns")));
  });
}

TEST_F(PluginsTest, WhatEndedWithoutADetachIsCollected) {
  apart([&] {
    ASSERT_TRUE(sys::create_net_namespace(folder_.file("ns"), {}).is_ok());
    const auto outcome = runtime_.add(net(), attachment(), soon());
    ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    expect_ok(sys::remove_net_namespace(folder_.file("ns")));
    EXPECT_FALSE(runtime_.check(net(), attachment(), soon()).is_ok());
    expect_ok(runtime_.gc(net(), {}, soon()));
    EXPECT_TRUE(given().empty());
    EXPECT_EQ(nat_rules().find("8083"), std::string::npos) << nat_rules();
    EXPECT_TRUE(runtime_.cached(name_)->empty());
  });
}

TEST_F(PluginsTest, ALoopback) {
  apart([&] {
    auto inside = sys::create_net_namespace(folder_.file("ns"), {});
    ASSERT_TRUE(inside.is_ok());
    const auto list = parse_list(R"({"cniVersion":"0.3.1","name":"lo","type":"loopback"})", "");
    ASSERT_TRUE(list.is_ok());
    const Attachment lo = {.container_id = "c-" + name_, .netns = folder_.file("ns"), .ifname = "lo"};
    const auto outcome = runtime_.add(*list, lo, soon());
    ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    EXPECT_EQ(outcome->document["cniVersion"].asString(), "0.3.1");
    EXPECT_TRUE(inside->links.find("lo")->is_up);
    expect_ok(runtime_.del("lo", lo, soon()));
    EXPECT_FALSE(inside->links.find("lo")->is_up);
    expect_ok(sys::remove_net_namespace(folder_.file("ns")));
  });
}

}  // namespace
}  // namespace pouch::cni
