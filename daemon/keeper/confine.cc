#include "daemon/keeper/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define POUCH_SANITIZED 1
#endif

namespace pouch::keeper {
namespace {

constexpr uid_t kNobody = 65'534;
constexpr rlim_t kMaxFiles = 65'536;

Status limit(int resource, rlim_t most, const char* what) {
  rlimit now = {};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &now) != 0) return errno_status(errno, what);
  if (now.rlim_max > most) now.rlim_max = most;
  now.rlim_cur = now.rlim_max;
  if (::setrlimit(static_cast<__rlimit_resource_t>(resource), &now) != 0) return errno_status(errno, what);
  return {};
}

Status limit_resources() {
  POUCH_RETURN_IF_ERROR(limit(RLIMIT_NOFILE, kMaxFiles, "limit descriptors"));
  POUCH_RETURN_IF_ERROR(limit(RLIMIT_CORE, 0, "forbid core files"));
#ifndef POUCH_SANITIZED
  constexpr rlim_t kMaxData = rlim_t{256} << 20;
  POUCH_RETURN_IF_ERROR(limit(RLIMIT_DATA, kMaxData, "limit memory"));
  POUCH_RETURN_IF_ERROR(limit(RLIMIT_NPROC, 0, "forbid processes"));
#endif
  return {};
}

// Who is not root has no more to give up.
Status give_up_user() {
  if (::geteuid() != 0) return {};
  for (int number = 0; ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
    if (::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) return errno_status(errno, "drop a capability");
  }
  if (::setgroups(0, nullptr) != 0) return errno_status(errno, "leave all groups");
  if (::setresgid(kNobody, kNobody, kNobody) != 0) return errno_status(errno, "become nobody's group");
  if (::setresuid(kNobody, kNobody, kNobody) != 0) return errno_status(errno, "become nobody");
  if (::setuid(0) == 0) return internal_error("root came back");
  return {};
}

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArch = 0;  // no filter has been written for it
#endif

using Filter = std::vector<sock_filter>;

constexpr uint32_t offset_of_argument(unsigned number) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + number * sizeof(uint64_t));
}

void load(Filter& filter, size_t offset) {
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
}

void answer(Filter& filter, uint32_t action) {
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, action));
}

// The number of the call is loaded.
void allow(Filter& filter, int call) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
  answer(filter, SECCOMP_RET_ALLOW);
}

// Sockets of the Internet alone.
void allow_sockets(Filter& filter) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 5));
  load(filter, offset_of_argument(0));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1));
  answer(filter, SECCOMP_RET_ALLOW);
  answer(filter, SECCOMP_RET_ERRNO | EPERM);
}

// Memory that is not executable.
void allow_memory(Filter& filter, int call) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 4));
  load(filter, offset_of_argument(2));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
  answer(filter, SECCOMP_RET_ERRNO | EPERM);
  answer(filter, SECCOMP_RET_ALLOW);
}

Filter make_filter() {
  Filter filter;
  load(filter, offsetof(seccomp_data, arch));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArch, 1, 0));
  answer(filter, SECCOMP_RET_KILL_PROCESS);
  load(filter, offsetof(seccomp_data, nr));
  constexpr std::array kCalls = {
      SYS_epoll_pwait,     SYS_epoll_ctl,     SYS_recvfrom,     SYS_recvmsg,
      SYS_sendto,          SYS_sendmsg,       SYS_accept4,      SYS_connect,
      SYS_close,           SYS_read,          SYS_write,        SYS_writev,
      SYS_fcntl,           SYS_clock_gettime, SYS_getrandom,    SYS_munmap,
      SYS_mremap,          SYS_madvise,       SYS_brk,          SYS_futex,
      SYS_getpid,          SYS_gettid,        SYS_rt_sigreturn, SYS_rt_sigprocmask,
      SYS_restart_syscall, SYS_exit,          SYS_exit_group,   SYS_tgkill,
      SYS_rt_sigaction,    SYS_gettimeofday,
#ifdef SYS_epoll_wait
      SYS_epoll_wait,
#endif
  };
  for (const long call : kCalls) allow(filter, static_cast<int>(call));
  allow_sockets(filter);
  load(filter, offsetof(seccomp_data, nr));
  allow_memory(filter, SYS_mmap);
  load(filter, offsetof(seccomp_data, nr));
  allow_memory(filter, SYS_mprotect);
  answer(filter, SECCOMP_RET_ERRNO | EPERM);
  return filter;
}

Status filter_calls() {
#ifdef POUCH_SANITIZED
  return {};
#else
  if (kArch == 0) return {};
  Filter filter = make_filter();
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0) return {};
  // A kernel without it: the rest holds all the same.
  return errno == EINVAL ? Status() : errno_status(errno, "filter system calls");
#endif
}

}  // namespace

Status confine_to_network() {
  POUCH_RETURN_IF_ERROR(limit_resources());
  POUCH_RETURN_IF_ERROR(give_up_user());
  // A change of the user has switched it off.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return errno_status(errno, "end with the keeper");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_status(errno, "refuse new rights");
  return filter_calls();
}

}  // namespace pouch::keeper
