#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "core/base/text.h"
#include "core/sys/bell.h"
#include "core/sys/event_loop.h"
#include "core/sys/file.h"
#include "core/sys/find_program.h"
#include "core/sys/host_facts.h"
#include "core/sys/mounts.h"
#include "core/sys/secure_dir.h"
#include "core/sys/systemd_scope.h"

namespace pouch::sys {
namespace {

class SysTest : public testing::Test {
 protected:
  SysTest() {
    std::string name = testing::TempDir() + "pouch-sys-XXXXXX";
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~SysTest() override { EXPECT_TRUE(remove_tree(folder_).is_ok()); }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }
  std::string folder_;
};

// --- files ---

TEST_F(SysTest, FilesAreReadWrittenAndCopied) {
  ASSERT_TRUE(write_file_atomic(file("a"), "one", 0640, true).is_ok());
  ASSERT_TRUE(write_file_atomic(file("a"), "two", 0640, false).is_ok());
  EXPECT_EQ(*read_file(file("a")), "two");
  ASSERT_TRUE(copy_file_atomic(file("a"), file("b"), 0700).is_ok());
  EXPECT_EQ(*read_file(file("b")), "two");
  EXPECT_EQ(::access(file("b").c_str(), X_OK), 0);
  EXPECT_EQ(read_file(file("none")).code(), Code::kNotFound);
  EXPECT_EQ(read_file("/proc/self/status", 10).code(), Code::kResourceExhausted);
  EXPECT_FALSE(write_file_atomic(file("none/x"), "x", 0600, false).is_ok());
}

// A child has what its parent had open at the time of the fork, for as long as it lives.
TEST_F(SysTest, ACopiedProgramRunsWhileOtherThreadsFork) {
  std::atomic<bool> is_over = false;
  std::thread forking([&] {
    while (!is_over) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::usleep(200'000);
        ::_exit(0);
      }
      ::usleep(1000);
      while (::waitpid(-1, nullptr, WNOHANG) > 0) continue;
    }
    while (::waitpid(-1, nullptr, 0) > 0) continue;
  });
  const std::string large = file("large");
  ASSERT_TRUE(write_file_atomic(large, *read_file("/proc/self/exe", 256 << 20), 0755, false).is_ok());
  for (int i = 0; i < 10 && !HasFailure(); ++i) {
    const std::string copy = file("copy" + std::to_string(i));
    EXPECT_TRUE(copy_file_atomic(large, copy, 0700).is_ok());
    // As an execve would find it.
    const UniqueFd open(::open(copy.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(::fcntl(open.get(), F_SETLEASE, F_RDLCK), 0) << "somebody has it open for writing";
  }
  is_over = true;
  forking.join();
}

TEST_F(SysTest, RemoveTreeFollowsNoLinks) {
  ASSERT_TRUE(write_file_atomic(file("kept"), "x", 0600, false).is_ok());
  ASSERT_EQ(::mkdir(file("t").c_str(), 0700), 0);
  ASSERT_EQ(::mkdir(file("t/d").c_str(), 0700), 0);
  ASSERT_EQ(::symlink(folder_.c_str(), file("t/d/link").c_str()), 0);
  EXPECT_TRUE(remove_tree(file("t")).is_ok());
  EXPECT_NE(::access(file("t").c_str(), F_OK), 0);
  EXPECT_EQ(*read_file(file("kept")), "x");
  EXPECT_TRUE(remove_tree(file("t")).is_ok());
}

TEST_F(SysTest, LockExcludesAndEndsWithItsHolder) {
  {
    auto first = FileLock::try_acquire(file("lock"));
    ASSERT_TRUE(first.is_ok());
    EXPECT_EQ(FileLock::try_acquire(file("lock")).code(), Code::kConflict);  // in one process too
    EXPECT_EQ(FileLock::acquire(file("lock"), Deadline::after_ms(20)).code(), Code::kDeadlineExceeded);
  }
  EXPECT_TRUE(FileLock::try_acquire(file("lock")).is_ok());
}

TEST_F(SysTest, SecureMkdirChecksEveryParent) {
  auto made = secure_mkdir(file("a/b/c"));
  ASSERT_TRUE(made.is_ok()) << made.status().to_string();
  struct stat facts = {};
  ASSERT_EQ(::fstat(made->get(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0700U);
  EXPECT_TRUE(secure_mkdir(file("a/b/c")).is_ok());
  ASSERT_EQ(::chmod(file("a/b").c_str(), 0777), 0);
  const Status writable = secure_mkdir(file("a/b/c")).status();
  EXPECT_EQ(writable.code(), Code::kPermissionDenied);
  EXPECT_NE(writable.message().find(quote(file("a/b"))), std::string::npos) << writable.message();
  ASSERT_EQ(::symlink(file("a").c_str(), file("link").c_str()), 0);
  EXPECT_EQ(secure_mkdir(file("link/x")).code(), Code::kPermissionDenied);
  EXPECT_EQ(secure_mkdir("relative").code(), Code::kInvalidArgument);
  EXPECT_EQ(secure_mkdir(file("a/../b")).code(), Code::kInvalidArgument);
}

TEST_F(SysTest, FindProgramTellsWhatItTried) {
  EXPECT_EQ(find_program("sh", {}).code(), Code::kOk);
  const Status missing = find_program("no-such-pouch", {"", "POUCH_NO_SUCH_PATH"}).status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  for (const char* part : {"$POUCH_NO_SUCH_PATH", "/usr/sbin", "libexec/pouch"}) {
    EXPECT_NE(missing.message().find(part), std::string::npos) << missing.message();
  }
  EXPECT_EQ(find_program("sh", {"/etc/passwd", ""}).code(), Code::kNotFound);  // an option is not overruled
  EXPECT_EQ(own_library_dir().front(), '/');
}

// --- loop and bell ---

TEST_F(SysTest, LoopRunsWatchesTimersAndPosts) {
  auto loop = std::move(*EventLoop::create());
  auto ready = std::move(*EventFd::create());
  std::vector<std::string> seen;
  EventLoop::WatchId watch = 0;
  watch = *loop->add(ready.fd(), EPOLLIN, [&](uint32_t) {
    seen.emplace_back("watch");
    loop->remove(watch);  // itself
    loop->after_ms(20, [&] { loop->stop(); });
    loop->after_ms(1, [&] { seen.emplace_back("timer"); });
  });
  const auto cancelled = loop->after_ms(0, [&] { seen.emplace_back("cancelled"); });
  loop->cancel(cancelled);
  std::thread other([&] { loop->post([&] { ready.set(); }); });
  EXPECT_TRUE(loop->run().is_ok());
  other.join();
  EXPECT_EQ(seen, (std::vector<std::string>{"watch", "timer"}));
}

TEST_F(SysTest, BellWakesAnotherProcess) {
  auto bell = Bell::open(file("bell"));
  ASSERT_TRUE(bell.is_ok());
  const uint32_t seen = bell->value();
  EXPECT_FALSE(bell->wait(seen, Deadline::after_ms(10)));
  const pid_t child = ::fork();
  if (child == 0) {
    auto theirs = Bell::open(file("bell"));
    ::usleep(20'000);
    if (theirs.is_ok()) theirs->ring();
    ::_exit(0);
  }
  EXPECT_TRUE(bell->wait(seen, Deadline::after_ms(10'000)));
  EXPECT_EQ(bell->value(), seen + 1);
  EXPECT_TRUE(bell->wait(seen, Deadline::after_ms(0)));  // rung before: no wait
  ::waitpid(child, nullptr, 0);
}

// --- facts ---

TEST_F(SysTest, MountTableIsParsed) {
  auto entries = parse_mountinfo(
      "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n"
      "37 36 0:5 / / rw - tmpfs none rw\n");
  ASSERT_TRUE(entries.is_ok()) << entries.status().to_string();
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ((*entries)[0].mount_point, "/mnt/a b");
  EXPECT_EQ((*entries)[0].propagation, "master:1 shared:2");
  EXPECT_EQ((*entries)[0].fs_type, "ext3");
  EXPECT_EQ((*entries)[0].major, 98U);
  EXPECT_EQ((*entries)[1].propagation, "");
  EXPECT_EQ(parse_mountinfo("36 35 98:0\n").code(), Code::kDataLoss);
  EXPECT_TRUE(*is_mount_point("/proc"));
  EXPECT_FALSE(*is_mount_point(folder_));
  EXPECT_EQ(mount_of("/proc/self")->fs_type, "proc");
  EXPECT_TRUE(unmount_tree(folder_).is_ok());
}

TEST_F(SysTest, HostFactsAreRead) {
  const HostFacts facts = read_host_facts();
  EXPECT_FALSE(facts.kernel.empty());
  EXPECT_GE(facts.cpus, 1);
  EXPECT_GT(facts.memory_bytes, int64_t{1} << 20);
  EXPECT_EQ(meminfo_bytes("MemTotal:  12 kB\nMemFree: 3 kB\n", "MemFree"), 3072);
  auto release = parse_os_release("# x\nID=debian\nPRETTY_NAME=\"Debian \\\"12\\\"\"\nVERSION_ID='12'\n");
  EXPECT_EQ(release["PRETTY_NAME"], "Debian \"12\"");
  EXPECT_EQ(release["VERSION_ID"], "12");
  EXPECT_EQ(oci_architecture("x86_64"), "amd64");
  auto cgroups = read_cgroup_facts();
  ASSERT_TRUE(cgroups.is_ok());
  EXPECT_TRUE(cgroups->mode != CgroupMode::kV2 || cgroups->controller_dirs.empty());
  EXPECT_TRUE(cgroups->mode != CgroupMode::kHybrid || !cgroups->unified_dir.empty());
}

TEST(SystemdScopeTest, GroupsAreBelowAScopeOnlyWhereSystemdOwnsTheTree) {
  EXPECT_EQ(root_cgroup("pouch-1", false), "/pouch-1");
  EXPECT_EQ(root_cgroup("pouch-1", true), "/system.slice/pouch-1.scope");
  EXPECT_TRUE(is_scope(root_cgroup("pouch-1", true)));
  EXPECT_FALSE(is_scope(root_cgroup("pouch-1", false)));
  EXPECT_FALSE(is_scope("/other.slice/pouch-1.scope"));
  const auto cgroups = read_cgroup_facts();
  ASSERT_TRUE(cgroups.is_ok());
  EXPECT_TRUE(cgroups->mode == CgroupMode::kV2 || root_cgroup("pouch-1") == "/pouch-1");
}

}  // namespace
}  // namespace pouch::sys
