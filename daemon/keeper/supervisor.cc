#include "daemon/keeper/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/io/keeper_server.h"
#include "core/sys/file.h"
#include "core/sys/own_cgroup.h"
#include "core/sys/place.h"
#include "daemon/keeper/vault.h"

namespace pouch::keeper {
namespace {

constexpr int64_t kSoundRunNs = 1'000'000'000;  // a worker that lived longer is restarted at once
constexpr int kMaxPauseMs = 5000;

// The lock, which workers share; nothing when another keeper serves the folder. One that is just ending is
// waited for.
Result<UniqueFd> lock_folder(const std::string& run_dir) {
  const Deadline deadline = Deadline::after_ms(10'000);
  for (;;) {
    Result<sys::FileLock> lock = sys::FileLock::try_acquire(run_dir + "/" + io::kKeeperLock);
    if (lock.is_ok()) return std::move(*lock).share();
    if (lock.code() != Code::kConflict) return lock.status();
    if (io::connect_to(run_dir).is_ok()) return UniqueFd();
    if (deadline.has_passed())
      return lock.status().prefix("another keeper holds the folder and does not answer");
    ::poll(nullptr, 0, 5);
  }
}

// Descriptors that the supervisor has for its life and its workers.
struct Belongings {
  UniqueFd lock;
  UniqueFd listener;
  UniqueFd signals;  // signalfd of watched_signals()
  Vault vault;
};

Vault::Holdings holdings_of(const Estate& estate) {
  Vault::Holdings held;
  for (const auto& [name, fds] : estate.held) {
    for (const int fd : fds) held[name].emplace_back(fd);
  }
  return held;
}

Result<Belongings> gather(const std::string& run_dir, UniqueFd lock, const std::optional<Estate>& estate) {
  const sigset_t set = watched_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  POUCH_ASSIGN_OR_RETURN(Vault vault, Vault::create(estate ? holdings_of(*estate) : Vault::Holdings()));
  UniqueFd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.is_valid()) return errno_status(errno, "create signalfd");
  // The socket is the supervisor's: while a worker is replaced, clients wait in its queue.
  UniqueFd listener(estate ? estate->listener : -1);
  if (!estate) {
    POUCH_ASSIGN_OR_RETURN(listener, io::listen_in(run_dir));
  }
  return Belongings{std::move(lock), std::move(listener), std::move(signals), std::move(vault)};
}

int start_worker(const WorkerMain& worker_main, Belongings& belongings) {
  const int supervisor = ::getpid();
  const int pid = ::fork();
  if (pid != 0) return pid;
  const sigset_t set = watched_signals();
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  ::_exit(worker_main({belongings.lock.get(), belongings.listener.get(), belongings.vault.worker_end(),
                       supervisor, belongings.vault.inherit()}));
}

struct WorkerEnd {
  bool was_told_to_stop = false;
  int status = 0;
};

// Reaps also what this process has started as a worker and forgotten.
bool has_ended(int worker, int& status) {
  int pid = 0;
  do {
    pid = ::waitpid(-1, &status, WNOHANG);
  } while (pid > 0 && pid != worker);
  return pid != 0;
}

WorkerEnd wait_worker(int pid, Belongings& belongings) {
  WorkerEnd end;
  while (!has_ended(pid, end.status)) {
    std::array<pollfd, 2> items = {
        {{belongings.signals.get(), POLLIN, 0}, {belongings.vault.own_end(), POLLIN, 0}}};
    ::poll(items.data(), items.size(), -1);
    belongings.vault.receive_all();
    signalfd_siginfo info = {};
    while (::read(belongings.signals.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGCHLD) continue;
      end.was_told_to_stop = true;
      ::kill(pid, SIGTERM);
    }
  }
  return end;
}

bool has_waiting_client(int listener) {
  pollfd item = {listener, POLLIN, 0};
  return ::poll(&item, 1, 0) > 0;
}

void log_end(int status) {
  const std::string how = WIFSIGNALED(status) ? "by signal " + std::to_string(WTERMSIG(status))
                                              : "with code " + std::to_string(WEXITSTATUS(status));
  log_error("keeper", "the worker ended " + how + "; restarted");
}

// Until it is told to end, has nothing to do any more, or nobody can find it.
void keep_worker(const WorkerMain& worker_main, Belongings& belongings, const std::string& lock_file) {
  int pause_ms = 0;
  for (;;) {
    belongings.vault.receive_all();  // what the worker before sent last
    const int64_t began = boot_now_ns();
    const int pid = start_worker(worker_main, belongings);
    const WorkerEnd end = pid > 0 ? wait_worker(pid, belongings) : WorkerEnd{false, 1 << 8};
    if (end.was_told_to_stop) return;
    if (WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0) {
      // A client may have come just as the worker decided to end.
      if (!has_waiting_client(belongings.listener.get())) return;
      continue;
    }
    if (!sys::is_named(belongings.lock.get(), lock_file)) {
      return log_error("keeper", "the worker has ended and " + quote(lock_file) + " is gone; not restarted");
    }
    log_end(end.status);
    const bool was_sound = boot_now_ns() - began > kSoundRunNs;
    if (!was_sound) ::poll(nullptr, 0, pause_ms);
    pause_ms = was_sound ? 0 : std::clamp(pause_ms * 2, 50, kMaxPauseMs);
  }
}

// A worker that has lost its supervisor is the last one in the group.
int run_in_group(const WorkerMain& worker_main, const WorkerPlace& place, const std::string& group) {
  const int code = worker_main(place);
  if (!group.empty() && ::getppid() != place.supervisor_pid) sys::leave_own_cgroup(group);
  return code;
}

}  // namespace

Status supervise(const std::string& run_dir, const std::string& cgroup, const WorkerMain& worker_main,
                 const std::optional<Estate>& estate) {
  UniqueFd lock(estate ? estate->lock : -1);
  if (!estate) {
    POUCH_ASSIGN_OR_RETURN(lock, lock_folder(run_dir));
  }
  if (!lock.is_valid()) return {};
  const std::string lock_file = run_dir + "/" + io::kKeeperLock;
  POUCH_RETURN_IF_ERROR(sys::write_place(lock.get()).prefix(quote(lock_file)));
  const std::string group = cgroup.empty() ? std::string() : cgroup + "/keeper";
  if (!group.empty()) sys::enter_own_cgroup(group);
  const ScopeGuard leave([&group] {
    if (!group.empty()) sys::leave_own_cgroup(group);
  });
  POUCH_ASSIGN_OR_RETURN(Belongings belongings, gather(run_dir, std::move(lock), estate));
  keep_worker([&](const WorkerPlace& place) { return run_in_group(worker_main, place, group); }, belongings,
              lock_file);
  // Else the folder was removed, and the socket there is another keeper's.
  if (sys::is_named(belongings.lock.get(), lock_file)) ::unlink((run_dir + "/" + io::kKeeperSocket).c_str());
  return {};
}

}  // namespace pouch::keeper
