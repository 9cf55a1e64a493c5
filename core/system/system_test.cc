#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/api/check.h"
#include "core/system/check.h"
#include "core/system/components.h"
#include "core/system/host_info.h"

namespace pouch {
namespace {

TEST(ComponentsTest, RuncAndCrunSayTheirVersion) {
  const auto runc = parse_runtime_version("runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\nspec: 1.0.2-dev\n");
  ASSERT_TRUE(runc.has_value());
  EXPECT_EQ(runc->version, "1.1.5+ds1");
  EXPECT_EQ(runc->commit, "1.1.5+ds1-1");
  const auto crun = parse_runtime_version("crun version 1.8.1\ncommit: f8a0\nrundir: /run/crun\n+SYSTEMD\n");
  ASSERT_TRUE(crun.has_value());
  EXPECT_EQ(crun->version, "1.8.1");
  EXPECT_EQ(crun->commit, "f8a0");
  EXPECT_FALSE(parse_runtime_version("usage: thing\n").has_value());
}

TEST(ComponentsTest, RuntimeThatIsNotThereIsNone) {
  EXPECT_FALSE(runtime_component({.binary_name = "/nonexistent/runtime"}).has_value());
}

TEST(HostInfoTest, FactsOfThisHost) {
  api::SystemInfo info;
  fill_host(info);
  EXPECT_GT(info.ncpu, 0);
  EXPECT_GT(info.mem_total, 0);
  EXPECT_THAT(info.kernel_version, ::testing::Not(::testing::IsEmpty()));
  EXPECT_THAT(*info.cgroup_version, ::testing::AnyOf("1", "2"));
}

EngineOptions options_of_nothing() {
  EngineOptions options;
  options.root_dir = "/nonexistent/root";
  options.containerd_address = "/nonexistent/c.sock";
  options.snapshotter = "overlayfs";
  options.default_runtime = "mine";
  options.runtimes["mine"] = {.binary_name = "/nonexistent/runtime"};
  options.keeper_program = "/nonexistent/keeper";
  return options;
}

const Finding* find(const std::vector<Finding>& findings, std::string_view name) {
  for (const Finding& finding : findings) {
    if (finding.name == name) return &finding;
  }
  return nullptr;
}

TEST(CheckTest, WhatIsMissingIsAnErrorWithItsFix) {
  const std::vector<Finding> findings = check_host(options_of_nothing(), {});
  for (const char* name : {"containerd", "runtime", "keeper"}) {
    const Finding* const finding = find(findings, name);
    ASSERT_NE(finding, nullptr) << name;
    EXPECT_EQ(finding->level, FindingLevel::kError) << name;
    EXPECT_THAT(finding->message, ::testing::HasSubstr("/nonexistent/")) << name;
    EXPECT_NE(finding->fix, "") << name;
  }
  EXPECT_FALSE(api::make_report(findings).ok);
}

TEST(CheckTest, EveryFindingThatIsNotFineSaysWhatToDo) {
  for (const Finding& finding : check_host(options_of_nothing(), {})) {
    EXPECT_NE(finding.message, "") << finding.name;
    EXPECT_EQ(finding.message.find('\n'), std::string::npos) << finding.message;
    EXPECT_EQ(finding.fix.empty(), finding.level == FindingLevel::kOk) << finding.name;
  }
}

TEST(CheckTest, WarningsAloneAreFine) {
  EXPECT_TRUE(api::make_report({findings::no_forwarding(), findings::fine("user", "root")}).ok);
  EXPECT_FALSE(api::make_report({findings::no_overlay()}).ok);
}

}  // namespace
}  // namespace pouch
