#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::sys {

struct SpawnSpec {
  std::string program;            ///< absolute path
  std::vector<std::string> args;  ///< without argv[0]
  std::vector<std::string> env;   ///< "K=V", all of it
  int stdin_fd = -1;              ///< -1: /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
  std::string working_dir = "/";
  bool new_session = false;
  bool die_with_parent = false;  ///< SIGKILL when the thread that started it ends
};

/// How a process ended: its exit code, or 128 + the signal that ended it.
struct ExitStatus {
  int code = 0;
  int signal = 0;  ///< 0 unless ended by one
};

/// A child of ours. A host that reaps with waitpid(-1), or ignores SIGCHLD, can take its exit status away
/// (exec gives every child back to SIGCHLD); wait() then answers Unavailable. Destroying it kills (SIGKILL)
/// and reaps.
class Child {
 public:
  /// Starts it with nothing inherited but what `spec` names. The error says when it could not be executed. A
  /// file that somebody is still writing (ETXTBSY) is tried again for half a second: a child that another
  /// thread forked meanwhile may hold what wrote it open until it executes.
  static Result<Child> spawn(const SpawnSpec& spec);
  ~Child();
  Child(Child&&) noexcept = default;
  Child& operator=(Child&& other) noexcept;

  int pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  ///< readable once it has exited
  Status kill(int signal) const;
  /// DeadlineExceeded leaves it running. After Ok it is reaped.
  Result<ExitStatus> wait(Deadline deadline);

 private:
  Child(int pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  int pid_ = 0;
  UniqueFd pidfd_;  // invalid once reaped
};

struct RunOutput {
  ExitStatus exit;
  std::string stdout_text;
  std::string stderr_text;
};

/// Runs a program to its end and collects what it prints, at most `limit` bytes of each stream (the rest is
/// read and dropped). At the deadline it is killed: DeadlineExceeded; when the token fires: Cancelled. With
/// it, if it has a new session, what it started in its process group.
Result<RunOutput> run_program(SpawnSpec spec, Deadline deadline, size_t limit = 1 << 20,
                              const CancelPtr& cancel = nullptr);

/// A pidfd of any process; NotFound when it is gone.
Result<UniqueFd> open_pidfd(int pid);
Status signal_pidfd(int pidfd, int signal);
/// True when it has exited (a zombie too) before the deadline.
bool wait_pidfd(int pidfd, Deadline deadline);
/// The process's start time in clock ticks since boot: with the pid it names a process for ever. NotFound
/// when gone.
Result<uint64_t> process_start_ticks(int pid);

}  // namespace pouch::sys
