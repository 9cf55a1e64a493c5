#include "core/spec/oci_spec.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/api/json.h"
#include "core/spec/capabilities.h"

namespace pouch::spec {
namespace {

HostFacts facts() {
  HostFacts out;
  out.capabilities = capabilities_of_mask(0x1ffffffffff);
  out.stat_device = [](const std::string& path) -> Result<DeviceNode> {
    if (path != "/dev/fuse") return not_found(path);
    return DeviceNode{path, 'c', 10, 229, 0666, 0, 0};
  };
  out.list_devices = [](const std::string& folder) -> std::vector<DeviceNode> {
    if (folder != "/dev") return {};
    return {{"/dev/fuse", 'c', 10, 229, 0666, 0, 0}};
  };
  return out;
}

SpecInput input() {
  SpecInput out;
  out.id = ContainerId("c1");
  out.args = {"echo", "hi"};
  out.hostname = "c1";
  out.cgroups_path = "/pouch/c1";
  return out;
}

Json built(const SpecInput& in, const HostFacts& host = facts()) {
  const auto out = build_oci_spec(in, host);
  EXPECT_TRUE(out.is_ok()) << out.status().message();
  return out.is_ok() ? *parse_json(out->json) : Json();
}

std::vector<std::string> names(const Json& list, const char* key) {
  std::vector<std::string> out;
  for (const Json& row : list) out.push_back(row[key].asString());
  return out;
}

bool has(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

TEST(OciSpec, HasDockersDefaults) {
  const Json spec = built(input());
  EXPECT_EQ(spec["process"]["capabilities"]["effective"].size(), 14U);
  EXPECT_EQ(spec["linux"]["maskedPaths"].size(), 12U);
  EXPECT_TRUE(has(names(spec["linux"]["namespaces"], "type"), "network"));
  EXPECT_EQ(spec["linux"]["seccomp"]["defaultAction"].asString(), "SCMP_ACT_ERRNO");
  EXPECT_EQ(spec["process"]["env"][1].asString(), "HOSTNAME=c1");
  EXPECT_EQ(spec["process"]["cwd"].asString(), "/");
  EXPECT_FALSE(spec["linux"]["resources"]["devices"][0]["allow"].asBool());
}

TEST(OciSpec, PrivilegedHasEverything) {
  SpecInput in = input();
  in.host.privileged = true;
  const Json spec = built(in);
  EXPECT_EQ(spec["process"]["capabilities"]["bounding"].size(), 41U);
  EXPECT_TRUE(spec["linux"]["maskedPaths"].empty());
  EXPECT_FALSE(spec["linux"].isMember("seccomp"));
  EXPECT_EQ(spec["linux"]["devices"][0]["path"].asString(), "/dev/fuse");
}

TEST(OciSpec, OtherUsersGetNoEffectiveCapabilities) {
  SpecInput in = input();
  in.user.uid = 1000;
  const Json spec = built(in);
  EXPECT_FALSE(spec["process"]["capabilities"].isMember("effective"));
  EXPECT_EQ(spec["process"]["user"]["uid"].asUInt(), 1000U);
}

TEST(OciSpec, MapsResources) {
  SpecInput in = input();
  in.host.memory = 64 << 20;
  in.host.nano_cpus = 500'000'000;
  in.host.pids_limit = 50;
  in.host.devices = {
      {api::DeviceMapping{.path_on_host = "/dev/fuse", .path_in_container = {}, .cgroup_permissions = "rw"}}};
  const Json resources = built(in)["linux"]["resources"];
  EXPECT_EQ(resources["memory"]["swap"].asInt64(), 128 << 20);
  EXPECT_EQ(resources["cpu"]["quota"].asInt64(), 50'000);
  EXPECT_EQ(resources["pids"]["limit"].asInt64(), 50);
  EXPECT_EQ(resources["devices"][resources["devices"].size() - 1]["access"].asString(), "rw");
}

TEST(OciSpec, LowersWhatTheHostDoesNotAllow) {
  SpecInput in = input();
  in.host.ulimits = {{api::Ulimit{.name = "nofile", .soft = 100, .hard = 5000}}};
  in.host.oom_score_adj = -500;
  in.host.cap_add = {{"SYS_RESOURCE"}};
  HostFacts host = facts();
  host.capabilities = capabilities_of_mask(0x1fffeffffff);
  host.rlimit_max["RLIMIT_NOFILE"] = 1024;
  host.oom_score_adj_min = 0;
  const auto out = build_oci_spec(in, host);
  ASSERT_TRUE(out.is_ok());
  EXPECT_EQ(out->warnings.size(), 3U);
  const Json process = (*parse_json(out->json))["process"];
  EXPECT_EQ(process["rlimits"][0]["hard"].asUInt64(), 1024U);
  EXPECT_EQ(process["oomScoreAdj"].asInt(), 0);
}

TEST(OciSpec, UserMountsReplaceOurs) {
  SpecInput in = input();
  in.mounts.tmpfs.push_back({"/dev/shm", {"size=1"}, false});
  in.mounts.binds.push_back(
      {.source = "/a", .destination = "/x/y/z", .read_only = true, .propagation = "rshared", .mode = {}});
  const Json spec = built(in);
  const auto destinations = names(spec["mounts"], "destination");
  EXPECT_EQ(std::count(destinations.begin(), destinations.end(), "/dev/shm"), 1);
  EXPECT_EQ(destinations.back(), "/x/y/z");
  EXPECT_EQ(spec["linux"]["rootfsPropagation"].asString(), "shared");
}

TEST(OciSpec, SeccompFollowsCapabilities) {
  SpecInput in = input();
  const auto calls = [&] {
    const Json spec = built(in);
    std::vector<std::string> out;
    for (const Json& name : spec["linux"]["seccomp"]["syscalls"][0]["names"]) out.push_back(name.asString());
    return out;
  };
  EXPECT_FALSE(has(calls(), "mount"));
  in.host.cap_add = {{"SYS_ADMIN"}};
  EXPECT_TRUE(has(calls(), "mount"));
}

TEST(OciSpec, ExecTakesEnvironmentAndUser) {
  SpecInput in = input();
  in.config.env = {{"A=1", "B=2"}};
  api::ExecConfig exec;
  exec.cmd = {{"sh"}};
  exec.env = {{"A=3"}};
  const auto out = build_exec_process(in, exec, User{7, 8, {}, "/"}, facts());
  ASSERT_TRUE(out.is_ok());
  const Json process = *parse_json(out->json);
  EXPECT_EQ(process["env"][3].asString(), "A=3");
  EXPECT_EQ(process["user"]["gid"].asUInt(), 8U);
}

TEST(Validate, NamesTheOption) {
  api::HostConfig host;
  host.init = true;
  EXPECT_EQ(validate({}, host).message(), "HostConfig.Init is not supported");
  host = {};
  host.memory = 1000;
  EXPECT_EQ(validate({}, host).code(), Code::kInvalidArgument);
  host = {};
  host.cap_add = {{"FLY"}};
  EXPECT_EQ(validate({}, host).code(), Code::kInvalidArgument);
  host = {};
  host.security_opt = {{"apparmor=mine"}};
  EXPECT_EQ(validate({}, host).code(), Code::kNotImplemented);
  EXPECT_TRUE(validate({}, {}).is_ok());
}

}  // namespace
}  // namespace pouch::spec
