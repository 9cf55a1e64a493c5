#include "core/base/fork.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace pouch {
namespace {

// What `body` says in a child, as its exit code; -1 when it was killed.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Result<UniqueFd> open_null() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST(Fork, AnUnsharedDescriptorIsTheParentsAlone) {
  UnsharedFd fd = *UnsharedFd::make(open_null);
  const int number = fd.get();
  ASSERT_GE(number, 0);
  EXPECT_EQ(in_child([&] {
              if (fd.get() != -1 || ::fcntl(number, F_GETFD) != -1) return 1;
              const int other = ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // gets the number
              fd = UnsharedFd();
              return ::fcntl(other, F_GETFD) == -1 ? 2 : 0;
            }),
            0);
  EXPECT_NE(::fcntl(number, F_GETFD), -1);
  UnsharedFd moved = std::move(fd);
  EXPECT_EQ(moved.get(), number);
  moved = UnsharedFd();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(Fork, WaitsForWhatIsMadeOncePerProcess) {
  std::atomic<int> made{0};
  std::atomic<bool> begun{false};
  std::thread thread([&] {
    const auto held = hold_off_fork();
    begun = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    made = 1;
  });
  while (!begun) std::this_thread::yield();
  EXPECT_EQ(in_child([&] {
              const auto held = hold_off_fork();  // is free here
              return made == 1 ? 0 : 1;
            }),
            0);
  thread.join();
  EXPECT_TRUE(hold_off_fork().owns_lock());
}

int g_before = 0;
int g_in_parent = 0;
int g_in_child = 0;
const ForkHooks kHooks{[] { ++g_before; }, [] { ++g_in_parent; }, [] { ++g_in_child; }};

TEST(Fork, CallsItsHooks) {
  add_fork_hooks(kHooks);
  EXPECT_EQ(in_child([] { return g_before == 1 && g_in_parent == 0 && g_in_child == 1 ? 0 : 1; }), 0);
  EXPECT_EQ(g_before, 1);
  EXPECT_EQ(g_in_parent, 1);
  EXPECT_EQ(g_in_child, 0);
}

}  // namespace
}  // namespace pouch
