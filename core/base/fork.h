#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch {

// The host may fork() at any moment, also while threads of ours are at work; the child has a copy of
// everything but of the threads. What it needs to use the library for itself is arranged for here, by
// handlers that run around every fork() (pthread_atfork). They see nothing of posix_spawn, vfork and clone,
// whose children execute another program.

/// Held over what would be useless in a child when half done: what is made once per process. fork() waits for
/// it, some seconds at most. Who holds it must not fork.
std::unique_lock<std::mutex> hold_off_fork();

/// Functions that run around every fork() from now on: `before` in the parent, then one of the others.
struct ForkHooks {
  void (*before)() = nullptr;
  void (*in_parent)() = nullptr;
  void (*in_child)() = nullptr;
};
/// `hooks` must stay for ever. Those added last are called first before a fork, and last after it.
void add_fork_hooks(const ForkHooks& hooks);

/// A descriptor of this process alone: closed in a child made by fork(), where a copy would hold a lock for
/// as long as the child lives. In the child the object holds nothing.
class UnsharedFd {
 public:
  UnsharedFd() = default;
  /// Calls `open`, which must be brief and not fork, and owns what it gives; no fork() comes between.
  static Result<UnsharedFd> make(const std::function<Result<UniqueFd>()>& open);
  ~UnsharedFd();
  UnsharedFd(UnsharedFd&& other) noexcept;
  UnsharedFd& operator=(UnsharedFd&& other) noexcept;
  UnsharedFd(const UnsharedFd&) = delete;
  UnsharedFd& operator=(const UnsharedFd&) = delete;

  int get() const;
  /// From now on like any other: children have it, too.
  UniqueFd share() &&;

 private:
  void close();

  int fd_ = -1;
  pid_t pid_ = 0;
};

}  // namespace pouch
