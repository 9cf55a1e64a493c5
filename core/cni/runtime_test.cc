// What plugins are told, in which order, and what is kept of their answers.

#include "core/cni/runtime.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/base64.h"
#include "core/cni/testing/fake_plugins.h"

namespace pouch::cni {
namespace {

using RuntimeTest = FakePlugins;

std::string cni(const Json& config) {
  return config["cniVersion"].asString();
}

TEST_F(RuntimeTest, GoesThroughTheListAndBack) {
  answering("one", kAllVersions, kResult);
  // Like portmap: hands on what it was given.
  plugin(
      "two", kAllVersions,
      "[ $CNI_COMMAND = ADD ] || exit 0\n"
      "echo \"$config\" | sed -e 's/.*\"prevResult\"://' -e 's/,\"type\".*//' -e 's/10.1.0.5/10.1.0.6/'\n");
  const NetworkList net = list("1.0.0", {{"one", R"("mtu":1400)"}, {"two", ""}});
  const auto outcome = runtime_.add(net, attachment_, soon());
  ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
  EXPECT_EQ(outcome->ips[0].address, "10.1.0.6/16");
  EXPECT_EQ(outcome->container_interface("eth0")->mac, "0a:00:00:00:00:01");

  std::vector<FakeCall> told = calls();
  ASSERT_EQ(told.size(), 2U);
  const auto plain = parse_json(R"({"cniVersion":"1.0.0","mtu":1400,"name":"net","type":"one"})");
  EXPECT_EQ(told[0].config, *plain);
  EXPECT_EQ(told[1].plugin, "two");
  EXPECT_EQ(told[1].config["prevResult"], *parse_json(kResult));

  ASSERT_TRUE(runtime_.check(net, attachment_, soon()).is_ok());
  told = calls();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].plugin + told[0].command, "oneCHECK");
  EXPECT_EQ(told[0].config["prevResult"], outcome->document);
  EXPECT_EQ(told[1].config["prevResult"], outcome->document);

  ASSERT_TRUE(runtime_.del("net", attachment_, soon()).is_ok());
  told = calls();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].plugin + told[0].command, "twoDEL");
  EXPECT_EQ(told[1].plugin + told[1].command, "oneDEL");
  EXPECT_EQ(told[1].config["prevResult"], outcome->document);
  EXPECT_EQ(told[1].config["mtu"].asInt(), 1400);
  EXPECT_TRUE(runtime_.cached("")->empty());

  // Nothing is known of it any more.
  EXPECT_TRUE(runtime_.del("net", attachment_, soon()).is_ok());
  EXPECT_EQ(called(), "");
  EXPECT_EQ(runtime_.check(net, attachment_, soon()).code(), Code::kNotFound);
}

TEST_F(RuntimeTest, PluginsSeeTheirOrdersAndNothingElse) {
  plugin("one", kAllVersions,
         std::string("env | sort >\"$folder/env\"; pwd >\"$folder/pwd\"; echo '") + kResult + "'\n");
  Attachment attachment = attachment_;
  attachment.args = {{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", "web 1"}};
  ASSERT_TRUE(runtime_.add(list("1.0.0", {{"one", ""}}), attachment, soon()).is_ok());
  // The script has set PATH itself; PWD is the shell's.
  EXPECT_EQ(read("env"),
            "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=web 1\nCNI_COMMAND=ADD\nCNI_CONTAINERID=c1\n"
            "CNI_IFNAME=eth0\nCNI_NETNS=/run/netns/blue\nCNI_PATH=" +
                folder_.file("no-such-folder") + ":" + folder_.file("plugins") + "\n" + path_for_scripts() +
                "PWD=/\n");
}

TEST_F(RuntimeTest, CapabilitiesReachThosePluginsThatDeclareThem) {
  answering("one", kAllVersions, kResult);
  answering("two", kAllVersions, kResult);
  const NetworkList net =
      list("1.0.0", {{"one", R"("capabilities":{"ips":true,"mac":false},"runtimeConfig":"x")"},
                     {"two", R"("capabilities":{"portMappings":true,"bandwidth":true})"}});
  Attachment attachment = attachment_;
  attachment.capabilities =
      *parse_json(R"({"ips":["10.1.0.9/16"],"mac":"0a:00:00:00:00:09","portMappings":[{"hostPort":1}]})");
  ASSERT_TRUE(runtime_.add(net, attachment, soon()).is_ok());
  std::vector<FakeCall> told = calls();
  EXPECT_EQ(told[0].config["runtimeConfig"], *parse_json(R"({"ips":["10.1.0.9/16"]})"));
  EXPECT_EQ(told[1].config["runtimeConfig"], *parse_json(R"({"portMappings":[{"hostPort":1}]})"));
  EXPECT_FALSE(told[0].config.isMember("capabilities"));
  // DEL by the ids alone: the rest is in the cache.
  ASSERT_TRUE(runtime_.del("net", attachment_, soon()).is_ok());
  EXPECT_EQ(calls()[0].config["runtimeConfig"], *parse_json(R"({"portMappings":[{"hostPort":1}]})"));
}

TEST_F(RuntimeTest, SpeaksWithEachPluginWhatItKnows) {
  answering(
      "new", kAllVersions,
      R"({"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/x","mtu":9}],"ips":[{"address":"10.1.0.5/16","interface":0}]})");
  answering("old", R"("0.1.0","0.2.0")", R"({"ip4":{"ip":"10.1.0.5/16"}})");
  answering("mid", R"("0.3.1","0.4.0","9.9.9")",
            R"({"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.0.5/16"}]})");
  const NetworkList net = list("1.1.0", {{"new", ""}, {"old", ""}, {"mid", ""}});
  const auto outcome = runtime_.add(net, attachment_, soon());
  ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
  std::vector<FakeCall> told = calls();
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(cni(told[0].config) + " " + cni(told[1].config) + " " + cni(told[2].config), "1.1.0 0.2.0 0.4.0");
  EXPECT_EQ(told[1].config["prevResult"],
            *parse_json(R"({"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/16"}})"));
  EXPECT_EQ(told[2].config["prevResult"],
            *parse_json(R"({"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.0.5/16"}]})"));
  // CHECK, GC and STATUS go to those only that have them; DEL's result, too.
  ASSERT_TRUE(runtime_.check(net, attachment_, soon()).is_ok());
  ASSERT_TRUE(runtime_.gc(net, {{"c1", "eth0"}}, soon()).is_ok());
  ASSERT_TRUE(runtime_.status(net, soon()).is_ok());
  EXPECT_EQ(called(), "new:CHECK mid:CHECK new:GC new:STATUS");
  ASSERT_TRUE(runtime_.del("net", attachment_, soon()).is_ok());
  told = calls();
  ASSERT_EQ(told.size(), 3U);
  EXPECT_TRUE(told[0].config.isMember("prevResult"));
  EXPECT_FALSE(told[1].config.isMember("prevResult"));
  EXPECT_EQ(cni(told[2].config["prevResult"]), "1.1.0");
}

TEST_F(RuntimeTest, AsksForVersionsOncePerFile) {
  answering("one", R"("1.0.0")", kResult);
  const NetworkList net = list("1.1.0", {{"one", ""}, {"one", ""}});
  ASSERT_TRUE(runtime_.add(net, attachment_, soon()).is_ok());
  Runtime another({folder_.file("plugins")}, folder_.file("results"));
  ASSERT_TRUE(another.del("net", attachment_, soon()).is_ok());
  EXPECT_EQ(called(true), "one:VERSION one:ADD one:ADD one:DEL one:DEL");
  answering("one", R"("2.0.0")", kResult);
  const auto newer = runtime_.add(net, attachment_, soon());
  EXPECT_EQ(newer.status().to_string(),
            "NotImplemented: one: it does not speak CNI 1.1.0 or older, but \"2.0.0\"");
  // One from before there was VERSION.
  file("plugins/one",
       "#!/bin/sh\n[ $CNI_COMMAND = ADD ] && echo '{\"ip4\":{\"ip\":\"10.0.0.1/8\"}}' && exit 0\n"
       "echo '{\"code\":100,\"msg\":\"unknown CNI_COMMAND: '$CNI_COMMAND'\"}'; exit 1\n",
       0700);
  EXPECT_EQ(runtime_.add(net, attachment_, soon())->ips[0].address, "10.0.0.1/8");
}

TEST_F(RuntimeTest, KeepsWhatLibcniKeeps) {
  plugin("one", kAllVersions,
         "[ $CNI_COMMAND = ADD ] && cp \"$folder/results/net-c1-eth0\" \"$folder/during\"\n"
         "[ $CNI_COMMAND = ADD ] && echo '" +
             std::string(kResult) + "'\nexit 0\n");
  const NetworkList net = list("1.0.0", {{"one", R"("capabilities":{"mac":true})"}});
  Attachment attachment = attachment_;
  attachment.args = {{"A", "1"}, {"B", "2"}};
  attachment.capabilities = *parse_json(R"({"mac":"0a:00:00:00:00:09"})");
  ASSERT_TRUE(runtime_.add(net, attachment, soon()).is_ok());
  Json entry = *parse_json(R"({"kind":"cniCacheV1","containerId":"c1","ifName":"eth0","networkName":"net",
    "netns":"/run/netns/blue","cniArgs":[["A","1"],["B","2"]],"capabilityArgs":{"mac":"0a:00:00:00:00:09"}})");
  entry["config"] = base64_encode(net.text);
  EXPECT_EQ(*parse_json(read("during")), entry);  // what a killed process would leave
  entry["result"] = *parse_json(kResult);
  EXPECT_EQ(*parse_json(read("results/net-c1-eth0")), entry);
  struct stat facts = {};
  ASSERT_EQ(::stat(folder_.file("results/net-c1-eth0").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);

  file("results/net-c1-eth0.new-0123456789ab", read("results/net-c1-eth0"));  // of a killed process
  file("results/other", "{}");
  const auto known = runtime_.cached("net");
  ASSERT_TRUE(known.is_ok());
  ASSERT_EQ(known->size(), 1U);
  const CachedAttachment& cached = known->front();
  EXPECT_EQ(cached.attachment.container_id + cached.attachment.ifname, "c1eth0");
  EXPECT_EQ(cached.attachment.netns, "/run/netns/blue");
  EXPECT_EQ(cached.attachment.args, attachment.args);
  EXPECT_EQ(cached.attachment.capabilities, attachment.capabilities);
  EXPECT_EQ(cached.list_text, net.text);
  EXPECT_TRUE(cached.is_complete);
  EXPECT_EQ(cached.outcome.ips[0].address, "10.1.0.5/16");
  EXPECT_TRUE(runtime_.cached("another")->empty());
  ASSERT_TRUE(runtime_.del("net", attachment_, soon()).is_ok());
  EXPECT_EQ(::access(folder_.file("results/net-c1-eth0.new-0123456789ab").c_str(), F_OK), -1);
  EXPECT_EQ(read("results/other"), "{}");
}

TEST_F(RuntimeTest, DetachesWithTheListAsItWas) {
  answering("one", kAllVersions, kResult);
  answering("two", kAllVersions, kResult);
  ASSERT_TRUE(runtime_.add(list("1.0.0", {{"one", ""}}), attachment_, soon()).is_ok());
  EXPECT_EQ(called(), "one:ADD");
  const NetworkList changed = list("1.0.0", {{"two", ""}});
  ASSERT_TRUE(runtime_.del(changed, attachment_, soon()).is_ok());
  EXPECT_EQ(called(), "one:DEL");
  // The cache was lost, or is damaged: with the list that there is.
  ASSERT_TRUE(runtime_.del(changed, attachment_, soon()).is_ok());
  const std::vector<FakeCall> told = calls();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].plugin, "two");
  EXPECT_FALSE(told[0].config.isMember("prevResult"));
  file("results/net-c1-eth0", "{\"kind\":");
  EXPECT_EQ(runtime_.del("net", attachment_, soon()).code(), Code::kDataLoss);
  ASSERT_TRUE(runtime_.del(changed, attachment_, soon()).is_ok());
  EXPECT_EQ(called(), "two:DEL");
  EXPECT_TRUE(runtime_.del("net", attachment_, soon()).is_ok());
}

TEST_F(RuntimeTest, TellsEqualFileNamesApart) {
  answering("one", kAllVersions, kResult);
  Attachment dashed = attachment_;
  dashed.container_id = "a-b";
  dashed.ifname = "c";
  ASSERT_TRUE(runtime_.add(list("1.0.0", {{"one", ""}}), dashed, soon()).is_ok());
  Attachment other = attachment_;
  other.container_id = "a";
  other.ifname = "b-c";
  EXPECT_EQ(runtime_.add(list("1.0.0", {{"one", ""}}), other, soon()).code(), Code::kConflict);
  EXPECT_EQ(called(), "one:ADD");
  ASSERT_TRUE(runtime_.del("net", other, soon()).is_ok());
  EXPECT_EQ(called(), "");
  ASSERT_TRUE(runtime_.del(list("1.0.0", {{"one", ""}}), other, soon()).is_ok());
  EXPECT_EQ(called(), "one:DEL");
  EXPECT_EQ(runtime_.cached("")->size(), 1U);
}

TEST_F(RuntimeTest, AttachesOnceOnly) {
  answering("one", kAllVersions, kResult);
  const NetworkList net = list("1.0.0", {{"one", ""}});
  ASSERT_TRUE(runtime_.add(net, attachment_, soon()).is_ok());
  EXPECT_EQ(runtime_.add(net, attachment_, soon()).status().to_string(),
            "AlreadyExists: CNI: \"c1\" has not left \"net\" with \"eth0\"");
  Attachment second = attachment_;
  second.ifname = "eth1";
  EXPECT_TRUE(runtime_.add(net, second, soon()).is_ok());
  EXPECT_EQ(called(), "one:ADD one:ADD");
  EXPECT_EQ(runtime_.cached("net")->size(), 2U);
}

TEST_F(RuntimeTest, ChecksWhereItMay) {
  answering("one", kAllVersions, kResult);
  const NetworkList net = list("1.0.0", {{"one", ""}});
  ASSERT_TRUE(runtime_.add(net, attachment_, soon()).is_ok());
  calls();
  EXPECT_TRUE(
      runtime_.check(list("1.0.0", {{"one", ""}}, R"(,"disableCheck":true)"), attachment_, soon()).is_ok());
  EXPECT_TRUE(runtime_.check(list("0.3.1", {{"one", ""}}), attachment_, soon()).is_ok());
  EXPECT_EQ(called(), "");
  plugin("one", kAllVersions, R"(echo '{"code":100,"msg":"eth0 has lost its address"}'; exit 1)");
  const Status lost = runtime_.check(net, attachment_, soon());
  EXPECT_EQ(lost.to_string(), "Internal: one: eth0 has lost its address");
}

class GcTest : public RuntimeTest {
 protected:
  void attach(const NetworkList& net, const std::string& id) {
    Attachment attachment = attachment_;
    attachment.container_id = id;
    ASSERT_TRUE(runtime_.add(net, attachment, soon()).is_ok());
  }
};

TEST_F(GcTest, EndsWhatIsNotValid) {
  answering("one", kAllVersions, kResult);
  answering("two", kAllVersions, kResult);
  const NetworkList net = list("1.1.0", {{"one", ""}, {"two", ""}});
  for (const char* id : {"c1", "c2", "c3"}) attach(net, id);
  NetworkList other = net;
  other.name = "other";
  attach(other, "c4");
  calls();
  ASSERT_TRUE(runtime_.gc(net, {{"c2", "eth0"}, {"c3", "eth1"}}, soon()).is_ok());
  const std::vector<FakeCall> told = calls();
  ASSERT_EQ(told.size(), 6U);  // DEL of c1 and c3 with both plugins, GC of both
  EXPECT_EQ(told[3].plugin + told[3].command, "oneDEL");
  EXPECT_EQ(told[4].plugin + told[4].command, "oneGC");
  EXPECT_EQ(told[5].plugin + told[5].command, "twoGC");
  const Json valid =
      *parse_json(R"([{"containerID":"c2","ifname":"eth0"},{"containerID":"c3","ifname":"eth1"}])");
  EXPECT_EQ(told[5].config["cni.dev/valid-attachments"], valid);
  EXPECT_EQ(told[5].config["cni.dev/attachments"], valid);
  EXPECT_FALSE(told[5].config.isMember("prevResult"));
  ASSERT_EQ(runtime_.cached("net")->size(), 1U);
  EXPECT_EQ(runtime_.cached("net")->front().attachment.container_id, "c2");
  EXPECT_EQ(runtime_.cached("other")->size(), 1U);
}

TEST_F(GcTest, GoesOnAfterErrors) {
  answering("one", kAllVersions, kResult);
  answering("two", kAllVersions, kResult);
  const NetworkList net = list("1.1.0", {{"one", ""}, {"two", ""}});
  for (const char* id : {"c1", "c2"}) attach(net, id);
  calls();
  plugin("one", kAllVersions,
         "[ $CNI_COMMAND$CNI_CONTAINERID = DELc2 ] && exit 0\necho "
         "'{\"code\":11,\"msg\":\"'$CNI_COMMAND'\"}'; exit 1\n");
  const Status status = runtime_.gc(net, {}, soon());
  EXPECT_EQ(status.to_string(), "Unavailable: one: DEL");  // the first one
  EXPECT_EQ(called(), "two:DEL one:DEL two:DEL one:DEL one:GC two:GC");
  ASSERT_EQ(runtime_.cached("net")->size(), 1U);
  EXPECT_EQ(runtime_.cached("net")->front().attachment.container_id, "c1");
}

TEST_F(GcTest, WithOlderListsIsDel) {
  answering("one", kAllVersions, kResult);
  const NetworkList net = list("1.0.0", {{"one", ""}});
  attach(net, "c1");
  calls();
  ASSERT_TRUE(runtime_.gc(list("1.0.0", {{"one", ""}}, R"(,"disableGC":true)"), {}, soon()).is_ok());
  EXPECT_EQ(called(), "");
  ASSERT_TRUE(runtime_.gc(net, {}, soon()).is_ok());
  EXPECT_EQ(called(), "one:DEL");
  EXPECT_TRUE(runtime_.cached("net")->empty());
}

TEST_F(RuntimeTest, TellsWhetherANetworkIsReady) {
  answering("one", kAllVersions, kResult);
  const NetworkList net = list("1.1.0", {{"one", ""}, {"two", ""}});
  EXPECT_EQ(runtime_.status(net, soon()).code(), Code::kNotFound);
  for (const char* code : {"50", "51"}) {
    plugin("two", kAllVersions,
           R"(echo '{"code":)" + std::string(code) + R"(,"msg":"not yet","details":"no route"}'; exit 1)");
    EXPECT_EQ(runtime_.status(net, soon()).to_string(), "Unavailable: two: not yet: no route");
  }
  EXPECT_EQ(called(), "one:STATUS two:STATUS one:STATUS two:STATUS");
  // Before 1.1.0 there was nothing to ask.
  EXPECT_TRUE(runtime_.status(list("1.0.0", {{"one", ""}, {"two", ""}}), soon()).is_ok());
  EXPECT_EQ(runtime_.status(list("1.0.0", {{"three", ""}}), soon()).code(), Code::kNotFound);
  EXPECT_EQ(called(), "");
}

}  // namespace
}  // namespace pouch::cni
