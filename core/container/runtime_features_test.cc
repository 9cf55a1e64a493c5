#include "core/container/runtime_features.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "core/sys/file.h"

namespace pouch::container {
namespace {

TEST(RuntimeFeatures, AreWhatTheRuntimePrints) {
  EXPECT_EQ(parse_mount_options(R"({"mountOptions":["ro","rro",1]})"), (std::set<std::string>{"ro", "rro"}));
  for (const char* none : {"", "[]", "{}", R"({"mountOptions":"rro"})", "unknown command"})
    EXPECT_TRUE(parse_mount_options(none).empty()) << none;
}

class RuntimeFeaturesTest : public testing::Test {
 protected:
  RuntimeFeaturesTest() {
    std::string name = testing::TempDir() + "pouch-features-XXXXXX";
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
    use_ = {"mine", {folder_ + "/runtime", "io.containerd.runc.v2"}, folder_ + "/no.sock"};
  }
  ~RuntimeFeaturesTest() override { EXPECT_TRUE(sys::remove_tree(folder_).is_ok()); }

  // A runtime that notes that it was asked.
  void make_runtime(const std::string& answer) const {
    const std::string script = "#!/bin/sh\necho \"$@\" >>" + folder_ + "/asked\n" + answer + "\n";
    ASSERT_TRUE(sys::write_file_atomic(use_.runtime.binary_name, script, 0755, false).is_ok());
  }
  std::string asked() const { return sys::read_file(folder_ + "/asked").value(); }
  std::string folder_;
  RuntimeUse use_;
  RuntimeFeatures features_;
};

TEST_F(RuntimeFeaturesTest, AreAskedForOnce) {
  EXPECT_EQ(features_.has_recursive_read_only(use_).code(), Code::kNotImplemented);
  make_runtime(R"(echo '{"mountOptions":["ro","rro"]}')");
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(features_.has_recursive_read_only(use_).is_ok());
  EXPECT_EQ(asked(), "features\n");
  // Another file in its place is another runtime.
  make_runtime(R"(echo '{"mountOptions":["ro"]}')");
  EXPECT_EQ(features_.has_recursive_read_only(use_).message(),
            "rro is not supported by runtime \"mine\": \"rro\" mount option is not available");
  make_runtime("echo unknown command features >&2; exit 1");
  EXPECT_EQ(features_.has_recursive_read_only(use_).message(),
            "rro is not supported by runtime \"mine\": OCI features struct is not available");
  use_.runtime.shim = "io.containerd.kata.v2";
  EXPECT_EQ(features_.has_recursive_read_only(use_).code(), Code::kNotImplemented);
}

TEST_F(RuntimeFeaturesTest, SettleWhatReadOnlyMeans) {
  using spec::ReadOnlyReach;
  const auto settled = [&](bool read_only, ReadOnlyReach reach) {
    spec::MountPlan plan;
    plan.binds.emplace_back();
    plan.binds[0].read_only = read_only;
    plan.binds[0].reach = reach;
    const Status status = settle_read_only(plan, features_, use_);
    return status.is_ok() ? std::to_string(plan.binds[0].recursive_read_only) : "refused";
  };
  make_runtime(R"(echo '{"mountOptions":["ro","rro"]}')");
  EXPECT_EQ(settled(true, ReadOnlyReach::kAllIfPossible), "1");
  EXPECT_EQ(settled(true, ReadOnlyReach::kTop), "0");
  EXPECT_EQ(settled(true, ReadOnlyReach::kAllOrFail), "1");
  EXPECT_EQ(settled(false, ReadOnlyReach::kAllIfPossible), "0");
  make_runtime("exit 1");
  EXPECT_EQ(settled(true, ReadOnlyReach::kAllIfPossible), "0");
  EXPECT_EQ(settled(true, ReadOnlyReach::kTop), "0");
  EXPECT_EQ(settled(true, ReadOnlyReach::kAllOrFail), "refused");
}

}  // namespace
}  // namespace pouch::container
