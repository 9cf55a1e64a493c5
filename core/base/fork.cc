#include "core/base/fork.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace pouch {
namespace {

// Longer than any initialization takes. A thread that needs longer is stuck, perhaps for a lock of the very
// thread that forks: better a child that cannot use the library than a host that stands still.
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::milliseconds kPause{1};

struct Forks {
  std::mutex initializing;
  std::mutex mutex;
  // Below protected by mutex.
  std::vector<const ForkHooks*> hooks;
  std::vector<int> unshared;

  // Of the thread that forks.
  bool is_initializing_held = false;
};

// On the heap for good: no destructor at the process's end.
Forks& forks() {
  static Forks& all = *std::make_unique<Forks>().release();
  return all;
}

// Not by a timed mutex: ThreadSanitizer does not see pthread_mutex_clocklock().
bool lock_patiently(std::mutex& mutex) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!mutex.try_lock()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

void before_fork() {
  Forks& all = forks();
  // With the mutex held, a fork is also the only one under way.
  const bool held = lock_patiently(all.initializing);
  all.mutex.lock();
  all.is_initializing_held = held;
  for (auto hooks = all.hooks.rbegin(); hooks != all.hooks.rend(); ++hooks) {
    if ((*hooks)->before != nullptr) (*hooks)->before();
  }
}

void after_fork(void (*ForkHooks::*function)()) {
  Forks& all = forks();
  for (const ForkHooks* hooks : all.hooks) {
    if (hooks->*function != nullptr) (hooks->*function)();
  }
  const bool held = all.is_initializing_held;
  all.mutex.unlock();
  if (held) all.initializing.unlock();
}

void in_parent() {
  after_fork(&ForkHooks::in_parent);
}

void in_child() {
  for (const int fd : std::exchange(forks().unshared, {})) ::close(fd);
  after_fork(&ForkHooks::in_child);
}

// When the library is loaded: later a fork could come between the first use and this.
[[gnu::constructor]] void register_handlers() {
  forks();
  ::pthread_atfork(&before_fork, &in_parent, &in_child);
}

}  // namespace

std::unique_lock<std::mutex> hold_off_fork() {
  return std::unique_lock(forks().initializing);
}

void add_fork_hooks(const ForkHooks& hooks) {
  const std::lock_guard lock(forks().mutex);
  forks().hooks.push_back(&hooks);
}

Result<UnsharedFd> UnsharedFd::make(const std::function<Result<UniqueFd>()>& open) {
  const std::lock_guard lock(forks().mutex);
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open());
  UnsharedFd unshared;
  unshared.pid_ = ::getpid();
  forks().unshared.push_back(fd.get());
  unshared.fd_ = fd.release();
  return unshared;
}

UnsharedFd::~UnsharedFd() {
  close();
}

UnsharedFd::UnsharedFd(UnsharedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)), pid_(other.pid_) {}

UnsharedFd& UnsharedFd::operator=(UnsharedFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(pid_, other.pid_);
  return *this;
}

int UnsharedFd::get() const {
  return pid_ == ::getpid() ? fd_ : -1;
}

UniqueFd UnsharedFd::share() && {
  if (get() < 0) return {};
  const std::lock_guard lock(forks().mutex);
  std::erase(forks().unshared, fd_);
  return UniqueFd(std::exchange(fd_, -1));
}

void UnsharedFd::close() {
  if (get() < 0) return;
  const std::lock_guard lock(forks().mutex);
  std::erase(forks().unshared, fd_);
  ::close(std::exchange(fd_, -1));
}

}  // namespace pouch
