#include "core/base/fork.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace pouch {
namespace {

// What `body` says in a child, as its exit code; -1 when it was killed.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  // Not by _exit(), where ThreadSanitizer misses the threads of the parent.
  if (child == 0) ::syscall(SYS_exit_group, body());
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

#ifndef __SANITIZE_THREAD__  // it brings functions of its own in the place of static_guards.cc
std::atomic<bool> g_initializing{false};
std::atomic<bool> g_may_end{false};

int initialize_slowly() {
  g_initializing = true;
  while (!g_may_end) std::this_thread::yield();
  return 7;
}

int slow_static() {
  static const int value = initialize_slowly();
  return value;
}

TEST(Fork, AChildInitializesTheStaticsThatAnotherThreadHasBegun) {
  std::thread thread([] { EXPECT_EQ(slow_static(), 7); });
  while (!g_initializing) std::this_thread::yield();
  EXPECT_EQ(in_child([] {
              ::alarm(30);  // ends a child that waits for ever
              g_may_end = true;
              return slow_static() == 7 ? 0 : 1;
            }),
            0);
  g_may_end = true;
  thread.join();
  EXPECT_EQ(slow_static(), 7);
}

#endif

TEST(Fork, StaticsAreInitializedOnceByManyThreads) {
  static std::atomic<int> times{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      static const int value = [] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        return ++times;
      }();
      EXPECT_EQ(value, 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(times, 1);
}

TEST(Fork, AStaticWhoseInitializationThrowsIsInitializedAgain) {
  const auto get = [](bool fails) {
    static const int value = [&] { return fails ? throw 1 : 2; }();
    return value;
  };
  EXPECT_THROW(get(true), int);
  EXPECT_EQ(get(false), 2);
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
