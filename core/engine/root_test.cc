#include "core/engine/root.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <string>

#include "core/base/executor.h"
#include "core/sys/file.h"
#include "core/sys/token_file.h"

namespace pouch {
namespace {

using ::testing::HasSubstr;

class RootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    std::string pattern = "/tmp/pouch-root-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }
  EngineOptions options() const {
    EngineOptions out;
    out.root_dir = dir_ + "/root";
    out.run_dir = dir_ + "/run";
    out.containerd_address = dir_ + "/no-containerd.sock";
    return out;
  }
  static std::unique_ptr<Root> open(const EngineOptions& options) {
    auto root = Root::open(options);
    EXPECT_TRUE(root.is_ok()) << root.status().message();
    return root.is_ok() ? std::move(*root) : nullptr;
  }

  std::string dir_;
};

TEST_F(RootTest, IdStaysAndFoldersArePrivate) {
  const std::string id = open(options())->context().root_id;
  EXPECT_EQ(id.size(), 12U);
  const auto again = open(options());
  EXPECT_EQ(again->context().root_id, id);
  EXPECT_EQ(again->context().ns, "pouch-" + id);
  for (const char* sub : {"/root", "/root/owners", "/run"}) {
    struct stat facts {};
    ASSERT_EQ(::stat((dir_ + sub).c_str(), &facts), 0) << sub;
    EXPECT_EQ(facts.st_mode & 07777U, 0700U) << sub;
  }
}

TEST_F(RootTest, SettingsOfTheFirstOpeningHold) {
  open(options());
  EngineOptions bare;
  bare.root_dir = dir_ + "/root";
  const auto again = open(bare);
  EXPECT_EQ(again->context().options.containerd_address, dir_ + "/no-containerd.sock");
  EXPECT_EQ(again->context().run_dir(), dir_ + "/run");
  EXPECT_EQ(again->context().options.snapshotter, "overlayfs");

  EngineOptions other = options();
  other.snapshotter = "native";
  const auto refused = Root::open(other);
  EXPECT_EQ(refused.code(), Code::kConflict);
  EXPECT_THAT(refused.status().message(), HasSubstr("snapshotter \"overlayfs\", not \"native\""));
}

TEST_F(RootTest, BadOptionsAreRefused) {
  EngineOptions bad = options();
  bad.root_dir = "relative";
  EXPECT_EQ(Root::open(bad).code(), Code::kInvalidArgument);
  bad = options();
  bad.run_dir = "/" + std::string(100, 'r');
  EXPECT_EQ(Root::open(bad).code(), Code::kInvalidArgument);
  bad = options();
  bad.default_runtime = "walk";
  const auto refused = Root::open(bad);
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr("known are crun, runc"));
}

TEST_F(RootTest, FolderOfOthersIsRefused) {
  ASSERT_EQ(::mkdir((dir_ + "/open").c_str(), 0777), 0);
  ASSERT_EQ(::chmod((dir_ + "/open").c_str(), 0777), 0);
  EngineOptions bad = options();
  bad.root_dir = dir_ + "/open/root";
  const auto refused = Root::open(bad);
  EXPECT_EQ(refused.code(), Code::kPermissionDenied);
  EXPECT_THAT(refused.status().message(), HasSubstr(dir_ + "/open"));
}

TEST_F(RootTest, OtherUsersAreToldTheWayOut) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(65534) != 0) ::_exit(2);
    const auto refused = Root::open({});
    const std::string& message = refused.status().message();
    const bool told = refused.code() == Code::kPermissionDenied &&
                      message.find("unix://") != std::string::npos &&
                      message.find("mock://") != std::string::npos;
    ::_exit(told ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(RootTest, AbsentContainerdIsToldAtOnce) {
  const auto root = open(options());
  const int64_t start = boot_now_ns();
  const auto client = root->context().ctrd({});
  EXPECT_EQ(client.code(), Code::kUnavailable);
  EXPECT_THAT(client.status().message(), HasSubstr(dir_ + "/no-containerd.sock"));
  EXPECT_THAT(client.status().message(), HasSubstr("start containerd"));
  EXPECT_LT(boot_now_ns() - start, 100'000'000);
}

TEST_F(RootTest, OwnersLiveAsLongAsTheirEngine) {
  const auto first = open(options());
  auto second = open(options());
  const std::string token = second->context().owner_token;
  EXPECT_NE(token, first->context().owner_token);
  const auto alive = first->context().is_owner_alive;
  EXPECT_TRUE(alive(first->context().owner_token));
  EXPECT_TRUE(alive(token));
  EXPECT_FALSE(alive(""));
  EXPECT_FALSE(alive("../owners/x"));
  second.reset();
  EXPECT_FALSE(alive(token));
}

TEST_F(RootTest, OwnerKilledIsDeadAndItsFileGoes) {
  const auto root = open(options());
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto own = Root::open(options());
    if (!own.is_ok()) ::_exit(1);
    const std::string token = (*own)->context().owner_token;
    if (::write(pipe_fds[1], token.data(), token.size()) != 16) ::_exit(1);
    ::pause();
  }
  std::string token(16, ' ');
  ASSERT_EQ(::read(pipe_fds[0], token.data(), 16), 16);
  EXPECT_TRUE(root->context().is_owner_alive(token));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(root->context().is_owner_alive(token));
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/root/owners/" + token));
  EXPECT_TRUE(root->owner().has_dead());
  root->owner().remove_dead();
  EXPECT_FALSE(root->owner().has_dead());
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/root/owners/" + token));
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
}

std::string token_number(unsigned number) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016x", number);
  return text.data();
}

// Who is about to take the file away is not taken for its owner: what a dead engine left is looked at while
// its file goes, and would be left for good.
TEST_F(RootTest, DeadOwnersAreDeadWhileTheirFilesGo) {
  const auto root = open(options());
  constexpr unsigned kRounds = 3000;
  std::atomic<unsigned> current = 0;
  std::atomic<unsigned> taken_for_alive = 0;
  std::thread asks = start_thread([&] {
    for (unsigned number = 0; (number = current) < kRounds;)
      if (root->context().is_owner_alive(token_number(number))) ++taken_for_alive;
  });
  for (unsigned number = 0; number < kRounds; ++number) {
    const std::string token = token_number(number);
    EXPECT_TRUE(sys::write_file_atomic(dir_ + "/root/owners/" + token, "1\n", 0600, false).is_ok());
    current = number;
    sys::remove_if_unlocked(dir_ + "/root/owners", token);
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/root/owners/" + token));
  }
  current = kRounds;
  asks.join();
  EXPECT_EQ(taken_for_alive, 0U);
}

}  // namespace
}  // namespace pouch
