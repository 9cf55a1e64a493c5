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
  for (const char* bad : {"/a:", "a:b:c:d", "/a:/", "/a:rel", "/a:/b:rw,ro", "/a:/b:what", ":", "/a:ro",
                          "vol:/", "vol:/b:rslave", "vol:/b:nocopy,nocopy", "rel", "/"}) {
    EXPECT_EQ(plan_bind(bad).code(), Code::kInvalidArgument) << bad;
  }
}

TEST(Mounts, ParsesVolumes) {
  const auto named = plan_bind("vol:/b//c/:ro,nocopy,z");
  ASSERT_TRUE(named.is_ok()) << named.status().message();
  ASSERT_EQ(named->named.size(), 1U);
  const api::Mount& mount = named->named[0].mount;
  EXPECT_EQ(mount.source, "vol");
  EXPECT_EQ(mount.target, "/b/c");
  EXPECT_TRUE(*mount.read_only);
  EXPECT_TRUE(*mount.volume_options->no_copy);
  EXPECT_EQ(named->named[0].mode, "ro,nocopy,z");
  const auto anonymous = plan_bind("/a");
  ASSERT_TRUE(anonymous.is_ok());
  EXPECT_FALSE(anonymous->named[0].mount.source);
  api::HostConfig host;
  host.volume_driver = "other";
  host.binds = {{"vol:/b"}};
  EXPECT_EQ(plan_mounts(host)->named[0].mount.volume_options->driver_config->name, "other");
}

TEST(Mounts, RefusesBadLongForms) {
  const auto refused = [](const api::Mount& mount) {
    api::HostConfig host;
    host.mounts = {{mount}};
    return plan_mounts(host).status().message();
  };
  api::Mount mount;
  mount.target = "/x";
  mount.read_only = true;
  EXPECT_EQ(
      refused(mount),
      "invalid mount config for type \"volume\": must not set ReadOnly mode when using anonymous volumes");
  mount.source = "vol";
  EXPECT_EQ(refused(mount), "");
  mount.volume_options.emplace().subpath = "a/../../b";
  EXPECT_EQ(refused(mount),
            "invalid mount config for type \"volume\": subpath must be a relative path within the volume");
  mount.volume_options.reset();
  mount.bind_options.emplace();
  EXPECT_EQ(refused(mount),
            "invalid mount config for type \"volume\": field BindOptions must not be specified");
  mount.bind_options.reset();
  mount.type = "image";
  mount.source.reset();
  EXPECT_EQ(refused(mount), "invalid mount config for type \"image\": field Source must not be empty");
  mount.type = "npipe";
  EXPECT_NE(refused(mount).find("is not supported"), std::string::npos);
  mount.target.reset();
  EXPECT_EQ(refused(mount), "invalid mount config for type \"npipe\": field Target must not be empty");
}

TEST(Mounts, KnowsWhereOthersComeFrom) {
  EXPECT_EQ(parse_volumes_from("c1")->container, "c1");
  EXPECT_FALSE(parse_volumes_from("c1:rw")->read_only);
  EXPECT_TRUE(parse_volumes_from("c1:ro,z")->read_only);
  for (const char* bad : {"", "c1:", "c1:rslave", "c1:nocopy", "c1:what"}) {
    EXPECT_EQ(parse_volumes_from(bad).code(), Code::kInvalidArgument) << bad;
  }
}

TEST(Mounts, KnowsHowFarReadOnlyReaches) {
  const auto reach = [](const std::string& mode) { return plan_bind("/srv:/in:" + mode)->binds[0].reach; };
  EXPECT_EQ(reach("ro"), ReadOnlyReach::kAllIfPossible);
  EXPECT_EQ(reach("z,ro-non-recursive"), ReadOnlyReach::kTop);
  EXPECT_EQ(reach("rro"), ReadOnlyReach::kAllOrFail);
  EXPECT_EQ(reach("ro-force-recursive,rslave"), ReadOnlyReach::kAllOrFail);
  EXPECT_TRUE(plan_bind("/srv:/in:rro")->binds[0].read_only);
  EXPECT_EQ(plan_bind("/srv:/in:ro,rro").status().message(), "invalid mode: ro,rro");
  EXPECT_EQ(plan_bind("vol:/in:rro").status().message(),
            "mount mode \"rro\" requires a bind mount: invalid volume specification: 'vol:/in:rro'");
  EXPECT_EQ(parse_volumes_from("c1:rro").code(), Code::kInvalidArgument);
  for (const char* mode : {"ro", "ro-non-recursive", "rro"}) {
    const BindMount bind = plan_bind("/srv:/in:" + std::string(mode))->binds[0];
    EXPECT_EQ(bind_of(to_mount(bind))->reach, bind.reach) << mode;
  }
  api::Mount mount = to_mount(plan_bind("/srv:/in:rro")->binds[0]);
  mount.bind_options->read_only_non_recursive = true;
  EXPECT_EQ(bind_of(mount).status().message(),
            "mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive");
  mount.bind_options->read_only_non_recursive = false;
  mount.read_only = false;
  EXPECT_EQ(bind_of(mount).code(), Code::kInvalidArgument);
}

TEST(Mounts, KeepsTheLongFormOfOthers) {
  const auto bind = bind_of(to_mount(plan_bind("/srv:/in:ro,rslave")->binds[0]));
  ASSERT_TRUE(bind.is_ok());
  EXPECT_EQ(bind->source, "/srv");
  EXPECT_EQ(bind->propagation, "rslave");
  EXPECT_TRUE(bind->read_only && bind->create_source && bind->recursive);
  const TmpfsMount tmpfs{"/t", {"noexec", "nosuid", "nodev", "size=4096", "mode=1777"}, true, false};
  EXPECT_EQ(tmpfs_of(to_mount(tmpfs))->options, tmpfs.options);
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
  host.mounts->at(0).type = "cluster";
  EXPECT_EQ(plan_mounts(host).code(), Code::kNotImplemented);
}

}  // namespace
}  // namespace pouch::spec
