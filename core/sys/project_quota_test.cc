// On a file system of its own in a file, which a kernel with quotas can mount.

#include "core/sys/project_quota.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/base/unique_fd.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/find_program.h"
#include "core/sys/mounts.h"

namespace pouch::sys {
namespace {

constexpr off_t kImageBytes = 320 << 20;  // what XFS wants at least; the file has holes
constexpr int64_t kSeconds = 60'000;
const std::vector<std::string> kPlaces{"/usr/sbin", "/usr/bin", "/sbin", "/bin"};

// What it says when it fails.
std::string run(const std::string& program, std::vector<std::string> args) {
  const auto found = find_program_in(program, kPlaces);
  if (!found.is_ok()) return found.status().message();
  SpawnSpec spec;
  spec.program = *found;
  spec.args = std::move(args);
  spec.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  const auto output = run_program(spec, Deadline::after_ms(kSeconds));
  if (!output.is_ok()) return output.status().message();
  return output->exit.code == 0 ? "" : output->stderr_text;
}

// The parameter is a kind of file system.
class ProjectQuotaTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    std::string name = testing::TempDir() + "pouch-quota-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    const std::string image = folder_ + "/image";
    mounted_ = folder_ + "/mounted";
    ASSERT_EQ(::mkdir(mounted_.c_str(), 0755), 0);
    ASSERT_TRUE(write_file_atomic(image, "", 0600, false).is_ok());
    ASSERT_EQ(::truncate(image.c_str(), kImageBytes), 0);
    std::vector<std::string> words{"-q"};
    if (GetParam() == "ext4")
      words = {"-q", "-b", "4096", "-I", "256", "-O", "quota,project", "-E", "quotatype=prjquota"};
    words.push_back(image);
    if (!find_program_in("mkfs." + GetParam(), kPlaces).is_ok()) GTEST_SKIP() << "no mkfs." << GetParam();
    ASSERT_EQ(run("mkfs." + GetParam(), words), "");
    const std::string failed = run("mount", {"-o", "loop,prjquota", image, mounted_});
    if (!failed.empty()) GTEST_SKIP() << "the kernel has no project quotas: " << failed;
  }
  void TearDown() override {
    if (folder_.empty()) return;
    EXPECT_TRUE(unmount_tree(folder_).is_ok());
    EXPECT_TRUE(remove_tree(folder_).is_ok());
  }
  UniqueFd make_folder(const std::string& path) const {
    const std::string whole = mounted_ + "/" + path;
    EXPECT_EQ(::mkdir(whole.c_str(), 0755), 0);
    auto opened = open_file(whole, O_RDONLY | O_DIRECTORY);
    return opened.is_ok() ? std::move(*opened) : UniqueFd();
  }
  std::string folder_;
  std::string mounted_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, ProjectQuotaTest, testing::Values("ext4", "xfs"),
                         [](const auto& kind) { return kind.param; });

TEST(ProjectQuotas, AreNotEverywhere) {
  const auto proc = open_file("/proc", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(proc.is_ok());
  EXPECT_FALSE(has_project_quotas(proc->get()));
  EXPECT_FALSE(project_use(proc->get(), 1).is_ok());
  EXPECT_FALSE(is_chosen_project(0) || is_chosen_project(1000));
}

TEST_P(ProjectQuotaTest, CountWhatIsBelowAFolder) {
  const UniqueFd top = make_folder("top");
  ASSERT_TRUE(has_project_quotas(top.get()));
  EXPECT_EQ(*project_of(top.get()), 0U);
  // What is there already belongs to it, too, and links and pipes are no obstacle.
  const UniqueFd old = make_folder("top/old");
  ASSERT_TRUE(write_file_atomic(mounted_ + "/top/old/file", std::string(64 << 10, 'x'), 0600, true).is_ok());
  ASSERT_EQ(::symlinkat("/etc/passwd", old.get(), "link"), 0);
  ASSERT_EQ(::mkfifoat(old.get(), "pipe", 0600), 0);
  const auto project = choose_project(top.get());
  ASSERT_TRUE(project.is_ok()) << project.status().message();
  EXPECT_TRUE(is_chosen_project(*project));
  ASSERT_TRUE(give_to_project(top.get(), *project).is_ok());
  EXPECT_EQ(*project_of(top.get()), *project);
  EXPECT_EQ(*project_of(old.get()), *project);
  const auto before = project_use(top.get(), *project);
  ASSERT_TRUE(before.is_ok());
  EXPECT_EQ(before->files, 3U);
  EXPECT_GE(before->bytes, uint64_t{64} << 10);
  EXPECT_EQ(before->limit, 0U);
  const UniqueFd fresh = make_folder("top/fresh");
  EXPECT_EQ(*project_of(fresh.get()), *project);
  EXPECT_EQ(project_use(top.get(), *project)->files, 4U);
  const UniqueFd other = make_folder("other");
  EXPECT_EQ(*project_of(other.get()), 0U);
}

TEST_P(ProjectQuotaTest, LimitsAreSetAndLifted) {
  const UniqueFd top = make_folder("top");
  const uint32_t project = *choose_project(top.get());
  ASSERT_TRUE(give_to_project(top.get(), project).is_ok());
  // Never none where a little was meant.
  ASSERT_TRUE(limit_project(top.get(), project, 1).is_ok());
  EXPECT_GT(project_use(top.get(), project)->limit, 0U);
  ASSERT_TRUE(limit_project(top.get(), project, 5 << 20).is_ok());
  EXPECT_EQ(project_use(top.get(), project)->limit, uint64_t{5} << 20);
  const uint32_t another = *choose_project(top.get());
  EXPECT_NE(another, project);
  EXPECT_EQ(project_use(top.get(), another)->limit, 0U);
  ASSERT_TRUE(limit_project(top.get(), project, 0).is_ok());
  EXPECT_EQ(project_use(top.get(), project)->limit, 0U);
}

}  // namespace
}  // namespace pouch::sys
