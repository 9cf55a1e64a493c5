#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace pouch
