#include "core/sys/exec_plan.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"

// The functions of the child run in our address space while only this thread is stopped, so they make raw
// system calls: no interceptor of a sanitizer, no libc lock, nothing that would change our process's state.
#define POUCH_IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

namespace pouch::sys::detail {
namespace {

constexpr size_t kStackBytes = 64 * 1024;

// A kernel sigaction of zeros is SIG_DFL without flags; larger than any architecture's.
constexpr std::array<unsigned long, 8> kDefaultAction = {};

// Every CPU there may be; the kernel cuts it to those allowed.
constexpr auto kAllCpus = [] {
  std::array<unsigned long, 128> mask = {};
  mask.fill(~0UL);
  return mask;
}();

[[noreturn]] POUCH_IN_CHILD void give_up(ExecPlan& plan, const char* step) {
  plan.error = errno;
  plan.step = step;
  ::syscall(SYS_exit_group, 127);
  __builtin_unreachable();
}

POUCH_IN_CHILD void reset_signals() {
  for (int signal = 1; signal <= 64; ++signal) {
    ::syscall(SYS_rt_sigaction, signal, kDefaultAction.data(), nullptr, 8);
  }
}

POUCH_IN_CHILD void reset_scheduling() {
  const sched_param normal = {};
  ::syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &normal);
  ::syscall(SYS_setpriority, PRIO_PROCESS, 0, 0);
  ::syscall(SYS_sched_setaffinity, 0, sizeof kAllCpus, kAllCpus.data());
  const long fd = ::syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
  if (fd >= 0) {
    ::syscall(SYS_write, fd, "0", 1);
    ::syscall(SYS_close, fd);
  }
}

POUCH_IN_CHILD void enter_cgroups(ExecPlan& plan) {
  for (const std::string& file : plan.cgroup_procs_files) {
    const long fd = ::syscall(SYS_openat, AT_FDCWD, file.c_str(), O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0 || ::syscall(SYS_write, fd, "0", 1) != 1) give_up(plan, "enter cgroup");
    ::syscall(SYS_close, fd);
  }
}

POUCH_IN_CHILD int open_stdio(ExecPlan& plan, size_t which) {
  const std::string& path = plan.stdio_paths[which];
  const long fd = path.empty() ? ::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0)
                               : ::syscall(SYS_openat, AT_FDCWD, path.c_str(),
                                           O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
  if (fd < 0) give_up(plan, "open standard stream");
  return static_cast<int>(fd);
}

POUCH_IN_CHILD void arrange_stdio(ExecPlan& plan) {
  // First all of them above 2, then down: a source may itself be 0-2.
  std::array<int, 3> moved = {};
  for (size_t i = 0; i < 3; ++i) {
    const int source = plan.stdio[i] >= 0 ? plan.stdio[i] : open_stdio(plan, i);
    moved[i] = static_cast<int>(::syscall(SYS_fcntl, source, F_DUPFD, 3));
    if (moved[i] < 0) give_up(plan, "arrange standard streams");
  }
  for (size_t i = 0; i < 3; ++i) {
    if (::syscall(SYS_dup3, moved[i], static_cast<int>(i), 0) < 0) give_up(plan, "arrange standard streams");
  }
}

POUCH_IN_CHILD void close_others(ExecPlan& plan) {
  if (::syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
  rlimit limit = {};  // a kernel before 5.9
  if (::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit) != 0) give_up(plan, "close descriptors");
  const rlim_t end = limit.rlim_cur > 1'048'576 ? 1'048'576 : limit.rlim_cur;
  for (rlim_t fd = 3; fd < end; ++fd) ::syscall(SYS_close, static_cast<int>(fd));
}

POUCH_IN_CHILD int run_plan(void* argument) {
  ExecPlan& plan = *static_cast<ExecPlan*>(argument);
  reset_signals();
  if (plan.new_session) ::syscall(SYS_setsid);
  if (plan.die_with_parent) ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::syscall(SYS_umask, 022);
  enter_cgroups(plan);
  if (plan.reset_scheduling) reset_scheduling();
  arrange_stdio(plan);
  close_others(plan);
  if (::syscall(SYS_chdir, plan.working_dir.c_str()) != 0) give_up(plan, "enter folder");
  const unsigned long no_signals = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, nullptr, sizeof no_signals);
  ::syscall(SYS_execve, plan.program.c_str(), plan.argv.data(), plan.envp.data());
  give_up(plan, "execute");
}

// ThreadSanitizer takes clone() for a fork, and its bookkeeping for one, made in memory that is shared,
// forbids any thread afterwards. What is behind its wrapper is libc's own.
using CloneFunction = int (*)(int (*)(void*), void*, int, void*, ...);
#ifdef __SANITIZE_THREAD__
CloneFunction find_clone() {
  void* libc = ::dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  return reinterpret_cast<CloneFunction>(::dlsym(libc, "clone"));
}
#else
CloneFunction find_clone() {
  return ::clone;
}
#endif

class Stack {
 public:
  Stack()
      : memory_(::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
                       -1, 0)) {}
  ~Stack() {
    if (is_valid()) ::munmap(memory_, kStackBytes);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  bool is_valid() const { return memory_ != MAP_FAILED; }
  void* top() const { return static_cast<char*>(memory_) + kStackBytes; }

 private:
  void* memory_;
};

struct OrphanStep {
  ExecPlan* plan;
  void* stack_top;
  CloneFunction clone;
  volatile int pid;
};

POUCH_IN_CHILD int run_middle(void* argument) {
  OrphanStep& step = *static_cast<OrphanStep*>(argument);
  const int pid = step.clone(run_plan, step.stack_top, CLONE_VM | CLONE_VFORK | SIGCHLD, step.plan);
  if (pid < 0) give_up(*step.plan, "clone");
  step.pid = pid;
  ::syscall(SYS_exit_group, 0);
  return 0;
}

// Our handlers must not run in a process that shares our memory.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_ = {};
};

Status plan_failure(const ExecPlan& plan) {
  return errno_status(plan.error, "start " + quote(plan.program) + ": " + plan.step);
}

void reap(int pid) {
  while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

}  // namespace

void finish_plan(ExecPlan& plan) {
  for (std::string& argument : plan.arg_storage) plan.argv.push_back(argument.data());
  for (std::string& variable : plan.env_storage) plan.envp.push_back(variable.data());
  plan.argv.push_back(nullptr);
  plan.envp.push_back(nullptr);
}

Result<int> start_child(ExecPlan& plan, int* pidfd) {
  const CloneFunction clone_process = find_clone();
  const Stack stack;
  if (!stack.is_valid()) return errno_status(ENOMEM, "start " + quote(plan.program));
  int new_pidfd = -1;
  int pid = -1;
  int error = 0;
  {
    const SignalsBlocked blocked;
    // No exit signal: until exec, which resets it to SIGCHLD, a waitpid(-1) of the host does not see it.
    pid = clone_process(run_plan, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_PIDFD, &plan, &new_pidfd);
    error = errno;
  }
  if (pid < 0) return errno_status(error, "start " + quote(plan.program) + ": clone");
  UniqueFd owned(new_pidfd);
  if (plan.error != 0) {
    reap(pid);
    return plan_failure(plan);
  }
  if (pidfd != nullptr) *pidfd = owned.release();
  return pid;
}

Result<int> start_orphan(ExecPlan& plan) {
  const Stack outer;
  const Stack inner;
  if (!outer.is_valid() || !inner.is_valid()) return errno_status(ENOMEM, "start " + quote(plan.program));
  OrphanStep step = {&plan, inner.top(), find_clone(), -1};
  int middle = -1;
  int error = 0;
  {
    const SignalsBlocked blocked;
    // No exit signal, and it never executes anything: the host cannot see it.
    middle = step.clone(run_middle, outer.top(), CLONE_VM | CLONE_VFORK, &step);
    error = errno;
  }
  if (middle < 0) return errno_status(error, "start " + quote(plan.program) + ": clone");
  reap(middle);
  if (plan.error != 0) return plan_failure(plan);
  return step.pid;
}

}  // namespace pouch::sys::detail
