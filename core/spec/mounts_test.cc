#include "core/spec/mounts.h"

#include <gtest/gtest.h>

namespace pouch::spec {
namespace {

Result<MountPlan> plan_bind(const std::string& bind) {
  api::HostConfig host;
  host.binds = {{bind}};
  return plan_mounts(host);
}

TEST(Mounts, ParsesBinds) {
  const auto plan = plan_bind("/srv//data/../x:/in:ro,rslave");
  ASSERT_TRUE(plan.is_ok()) << plan.status().message();
  EXPECT_EQ(plan->binds[0].source, "/srv/x");
  EXPECT_TRUE(plan->binds[0].read_only);
  EXPECT_EQ(plan->binds[0].propagation, "rslave");
  EXPECT_TRUE(plan->binds[0].create_source);
  EXPECT_EQ(mount_points(*plan)[0].mode, "ro,rslave");
}

TEST(Mounts, RefusesBadBinds) {
  for (const char* bad : {"/a:", "a:b:c:d", "/a:/", "/a:rel", "/a:/b:rw,ro", "/a:/b:what", ":"}) {
    EXPECT_EQ(plan_bind(bad).code(), Code::kInvalidArgument) << bad;
  }
  for (const char* later : {"vol:/b", "/anonymous", "/a:/b:z"}) {
    EXPECT_EQ(plan_bind(later).code(), Code::kNotImplemented) << later;
  }
}

TEST(Mounts, UnderstandsTheMountsForm) {
  api::HostConfig host;
  api::Mount bind;
  bind.type = "bind";
  bind.source = "/srv";
  bind.target = "/in";
  api::Mount tmpfs;
  tmpfs.type = "tmpfs";
  tmpfs.target = "/scratch";
  tmpfs.tmpfs_options = api::TmpfsOptions{.size_bytes = 4096, .mode = 01777, .options = {}};
  host.mounts = {{bind, tmpfs}};
  const auto plan = plan_mounts(host);
  ASSERT_TRUE(plan.is_ok()) << plan.status().message();
  EXPECT_FALSE(plan->binds[0].create_source);
  EXPECT_EQ(plan->tmpfs[0].options.back(), "mode=1777");
  host.binds = {{"/a:/in"}};
  EXPECT_NE(plan_mounts(host).status().message().find("Duplicate mount point: /in"), std::string::npos);
  host.mounts->at(0).type = "volume";
  EXPECT_EQ(plan_mounts(host).code(), Code::kNotImplemented);
}

}  // namespace
}  // namespace pouch::spec
