// A root's own containerd: started when it is needed, started again when it dies, gone with its last user.

#include "core/engine/private_containerd.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/ctrd/client.h"
#include "core/engine/root.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/find_program.h"
#include "core/sys/place.h"
#include "core/sys/systemd_scope.h"

namespace pouch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

Call soon() {
  return {Deadline::after_ms(60'000), nullptr, {}};
}

bool eventually(const std::function<bool()>& is_so) {
  const Deadline deadline = Deadline::after_ms(60'000);
  while (!is_so()) {
    if (deadline.has_passed()) return false;
    ::poll(nullptr, 0, 10);
  }
  return true;
}

class PrivateContainerdTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    if (!sys::find_program("containerd", {}).is_ok()) GTEST_SKIP() << "containerd is not installed";
    std::string pattern = "/tmp/pouch-own-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    if (dir_.empty()) return;
    EXPECT_TRUE(eventually([this] { return minder() == 0 && keeper() == 0; }));
    fs::remove_all(dir_);
  }

  EngineOptions options() const {
    EngineOptions out;
    out.root_dir = dir_ + "/root";
    out.run_dir = dir_ + "/run";
    out.keeper_program = POUCH_KEEPER_PROGRAM;
    return out;
  }
  std::unique_ptr<Root> open() const {
    auto root = Root::open(options());
    EXPECT_TRUE(root.is_ok()) << root.status().message();
    return root.is_ok() ? std::move(*root) : nullptr;
  }
  int minder() const { return sys::locked_by(private_containerd::lock_path(dir_ + "/run")); }
  int keeper() const { return sys::locked_by(dir_ + "/run/keeper.pid"); }
  // The containerd that is the minder's child; 0 for none.
  int containerd() const {
    const std::string pid = std::to_string(minder());
    std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
    int child = 0;
    children >> child;
    return child;
  }
  static void kill_and_wait(int pid) {
    ASSERT_GT(pid, 0);
    const auto pidfd = sys::open_pidfd(pid);
    ASSERT_TRUE(pidfd.is_ok()) << pidfd.status().message();
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    ASSERT_TRUE(sys::wait_pidfd(pidfd->get(), soon().deadline));
  }
  static std::vector<std::string> groups_of(const std::string& ns) {
    std::vector<std::string> found;
    const std::string group = sys::root_cgroup(ns);
    if (fs::exists("/sys/fs/cgroup" + group)) found.push_back(group);  // version 2
    for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup")) {
      if (fs::exists(hierarchy.path() / ns)) found.push_back(hierarchy.path() / ns);
    }
    return found;
  }

  std::string dir_;
};

TEST_F(PrivateContainerdTest, IsDecidedWhenTheRootIsMade) {
  EXPECT_TRUE(open()->context().has_private_containerd);
  EngineOptions same = options();
  same.containerd_address = "private";
  EXPECT_TRUE(Root::open(same).is_ok());
  EngineOptions other = options();
  other.containerd_address = "/run/other.sock";
  const auto refused = Root::open(other);
  EXPECT_EQ(refused.code(), Code::kConflict);
  EXPECT_THAT(refused.status().message(), HasSubstr("containerd \"private\", not \"/run/other.sock\""));
  EXPECT_EQ(minder(), 0);  // nobody needed it
}

TEST_F(PrivateContainerdTest, OneForAllWhoComeAtOnce) {
  std::vector<std::thread> threads;
  std::vector<pid_t> processes;
  for (int i = 0; i < 3; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto root = Root::open(options());
      ::_exit(root.is_ok() && (*root)->context().ctrd(soon()).is_ok() ? 0 : 1);
    }
    processes.push_back(child);
  }
  const auto root = open();
  EXPECT_TRUE(root->context().ctrd(soon()).is_ok());
  for (const pid_t child : processes) {
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const auto log = sys::read_file(private_containerd::log_path(dir_ + "/run"));
  ASSERT_TRUE(log.is_ok());
  const size_t first = log->find("runs as process");
  EXPECT_NE(first, std::string::npos) << *log;
  EXPECT_EQ(log->find("runs as process", first + 1), std::string::npos) << *log;
}

TEST_F(PrivateContainerdTest, EndsWithItsLastUserAndLeavesNothing) {
  auto root = open();
  const std::string ns = root->context().ns;
  ASSERT_TRUE(root->context().ctrd(soon()).is_ok());
  const auto pidfd = sys::open_pidfd(containerd());
  ASSERT_TRUE(pidfd.is_ok());
  EXPECT_FALSE(groups_of(ns).empty());
  root.reset();
  EXPECT_TRUE(sys::wait_pidfd(pidfd->get(), soon().deadline));
  EXPECT_TRUE(eventually([this] { return minder() == 0; }));
  EXPECT_TRUE(eventually([&] { return groups_of(ns).empty(); }));
}

TEST_F(PrivateContainerdTest, EndsAlsoWhenItsFoldersAreGone) {
  int pid = 0;
  {
    const auto root = open();
    ASSERT_NE(root, nullptr);
    ASSERT_TRUE(root->context().ctrd(soon()).is_ok());
    pid = minder();
    ASSERT_GT(pid, 0);
    fs::remove_all(dir_);
  }
  EXPECT_TRUE(eventually([pid] { return ::kill(pid, 0) != 0; }));
}

TEST_F(PrivateContainerdTest, ComesBackWhenKilled) {
  const auto root = open();
  ASSERT_TRUE(root->context().ctrd(soon()).is_ok());
  const int before = containerd();
  kill_and_wait(before);
  const auto works = [&] {
    const auto client = root->context().ctrd(soon());
    return client.is_ok() && (*client)->ping(soon()).is_ok();
  };
  EXPECT_TRUE(eventually(works));
  EXPECT_NE(containerd(), before);

  // The one who minds it takes it along, and who comes next starts both.
  const int minded = containerd();
  const auto pidfd = sys::open_pidfd(minded);
  kill_and_wait(minder());
  ASSERT_TRUE(pidfd.is_ok());
  EXPECT_TRUE(sys::wait_pidfd(pidfd->get(), soon().deadline));
  EXPECT_TRUE(eventually(works));
  EXPECT_NE(minder(), 0);
}

TEST_F(PrivateContainerdTest, KilledKeeperLeavesNothingWhenAllAreGone) {
  auto root = open();
  const std::string ns = root->context().ns;
  ASSERT_TRUE(root->context().ctrd(soon()).is_ok());
  ASSERT_TRUE(root->context().keeper(soon()).is_ok());
  const int supervisor = keeper();
  std::ifstream children("/proc/" + std::to_string(supervisor) + "/task/" + std::to_string(supervisor) +
                         "/children");
  int worker = 0;
  children >> worker;
  kill_and_wait(supervisor);
  kill_and_wait(worker);
  root.reset();
  EXPECT_TRUE(eventually([this] { return minder() == 0; }));
  EXPECT_TRUE(eventually([&] { return groups_of(ns).empty(); }));
}

TEST_F(PrivateContainerdTest, LongRootPathsAreFine) {
  EngineOptions deep = options();
  deep.root_dir = dir_ + "/" + std::string(120, 'd') + "/with \"quotes\"";
  auto root = Root::open(deep);
  ASSERT_TRUE(root.is_ok()) << root.status().message();
  const auto client = (*root)->context().ctrd(soon());
  EXPECT_TRUE(client.is_ok()) << client.status().message();
  EXPECT_TRUE(fs::exists(deep.root_dir + "/containerd/io.containerd.metadata.v1.bolt/meta.db"));
}

TEST_F(PrivateContainerdTest, MissingProgramIsNamedWithItsPackage) {
  const auto root = open();
  ::setenv("POUCH_CONTAINERD_PATH", "/no/such/containerd", 1);
  const auto client = root->context().ctrd(soon());
  ::unsetenv("POUCH_CONTAINERD_PATH");
  EXPECT_EQ(client.code(), Code::kUnavailable);
  EXPECT_THAT(client.status().message(), HasSubstr("\"/no/such/containerd\" (from $POUCH_CONTAINERD_PATH)"));
  EXPECT_THAT(client.status().message(), HasSubstr("apt-get install containerd, or name the socket"));
}

TEST_F(PrivateContainerdTest, OneThatCannotStartIsToldWithItsLastWords) {
  const std::string program = dir_ + "/containerd";
  std::ofstream(program) << "#!/bin/sh\necho its disk is on fire\nexit 3\n";
  ASSERT_EQ(::chmod(program.c_str(), 0755), 0);
  const auto root = open();
  ::setenv("POUCH_CONTAINERD_PATH", program.c_str(), 1);
  const auto client = root->context().ctrd(soon());
  ::unsetenv("POUCH_CONTAINERD_PATH");
  EXPECT_EQ(client.code(), Code::kUnavailable);
  EXPECT_THAT(client.status().message(), HasSubstr("containerd ended with code 3"));
  const auto log = sys::read_file(private_containerd::log_path(dir_ + "/run"));
  ASSERT_TRUE(log.is_ok());
  EXPECT_THAT(*log, HasSubstr("its disk is on fire"));
}

// In a child of its own namespaces; the message that it got.
std::string open_elsewhere(const EngineOptions& options, int flags) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(flags) != 0) ::_exit(2);
    // A new pid namespace begins with the next child.
    const pid_t inner = flags == CLONE_NEWPID ? ::fork() : 0;
    if (inner > 0) {
      ::waitpid(inner, nullptr, 0);
      ::_exit(0);
    }
    const auto root = Root::open(options);
    const std::string text = root.is_ok() ? "opened" : root.status().message();
    const ssize_t put = ::write(ends[1], text.data(), text.size());
    ::_exit(put > 0 ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text(4096, '\0');
  text.resize(static_cast<size_t>(std::max<ssize_t>(::read(ends[0], text.data(), text.size()), 0)));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return text;
}

TEST_F(PrivateContainerdTest, OtherNamespacesAreRefusedNamingWhich) {
  auto root = open();
  const std::vector<std::pair<int, std::string>> kinds = {
      {CLONE_NEWNS, "mnt"}, {CLONE_NEWNET, "net"}, {CLONE_NEWPID, "pid"}};
  // Nothing runs yet: whoever comes decides where.
  EXPECT_EQ(open_elsewhere(options(), CLONE_NEWNET), "opened");
  ASSERT_TRUE(root->context().ctrd(soon()).is_ok());
  for (const auto& [flag, kind] : kinds) {
    const std::string told = open_elsewhere(options(), flag);
    EXPECT_THAT(told, HasSubstr("its private containerd (process " + std::to_string(minder()) +
                                ") is in another " + kind + " namespace"));
  }
  ASSERT_TRUE(root->context().keeper(soon()).is_ok());
  for (const auto& [flag, kind] : kinds) {
    const std::string told = open_elsewhere(options(), flag);
    EXPECT_THAT(told, HasSubstr("its keeper (process " + std::to_string(keeper()) + ") is in another " +
                                kind + " namespace"));
  }
}

}  // namespace
}  // namespace pouch
