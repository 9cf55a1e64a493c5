#include "core/spec/seccomp.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/text.h"

namespace pouch::spec {
namespace {

// What every container may call. The kernel's names by subject; the runtime skips names that its libseccomp
// or architecture does not know.
constexpr std::array<std::string_view, 21> kAlways = {
    // files and folders
    "access chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 "
    "fadvise64 "
    "fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 "
    "fdatasync flock",
    "fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents "
    "getdents64 "
    "chdir lchown lchown32 link linkat lseek _llseek lstat lstat64 mkdir mkdirat mknod mknodat "
    "name_to_handle_at "
    "newfstatat open openat openat2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir",
    "sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range "
    "syncfs tee "
    "truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev",
    "pread64 preadv preadv2 pwrite64 pwritev pwritev2 ioctl inotify_add_watch inotify_init inotify_init1 "
    "inotify_rm_watch fanotify_mark cachestat",
    // extended attributes
    "fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr "
    "lsetxattr "
    "removexattr setxattr",
    // waiting
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old "
    "eventfd "
    "eventfd2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select _newselect signalfd signalfd4",
    // asynchronous input and output; io_uring is left out: it goes round this filter
    "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioprio_get "
    "ioprio_set",
    // memory
    "brk madvise map_shadow_stack memfd_create memfd_secret membarrier mincore mlock mlock2 mlockall mmap "
    "mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect "
    "process_mrelease remap_file_pages",
    // processes and threads
    "arch_prctl capget capset execve execveat exit exit_group fork getcpu getegid getegid32 geteuid "
    "geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getresgid "
    "getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32 vfork",
    "get_robust_list get_thread_area kill landlock_add_rule landlock_create_ruleset landlock_restrict_self "
    "pause pidfd_open pidfd_send_signal prctl prlimit64 rseq seccomp set_robust_list set_thread_area "
    "set_tid_address "
    "setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 "
    "setrlimit setsid setuid setuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups "
    "setgroups32",
    "tgkill tkill times wait4 waitid waitpid ugetrlimit uname sysinfo restart_syscall",
    // scheduling
    "sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam "
    "sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr "
    "sched_setparam sched_setscheduler sched_yield",
    // signals
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal sigpending sigprocmask sigreturn "
    "sigsuspend "
    "alarm",
    // locks between threads
    "futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake",
    // clocks and timers; setting them comes with CAP_SYS_TIME
    "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 "
    "clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 "
    "timerfd_create "
    "timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64",
    // sockets
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg "
    "recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair pipe "
    "pipe2",
    // System V and POSIX queues, semaphores, shared memory
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 "
    "mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl "
    "shmdt shmget",
    "getrandom",
    // 64-bit x86 and its 32-bit programs
    "modify_ldt",
    // 32- and 64-bit ARM
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    // reading one's own or a child's memory; safe since kernel 4.8
    "process_vm_readv process_vm_writev ptrace",
};

struct WithCapability {
  std::string_view capability;
  std::string_view calls;
};

constexpr std::array<WithCapability, 14> kWithCapability = {{
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_SYS_ADMIN",
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr "
     "move_mount "
     "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 "
     "unshare"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "delete_module finit_module init_module"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"},
    {"CAP_SYS_RAWIO", "ioperm iopl"},
    {"CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"CAP_SYSLOG", "syslog"},
    {"CAP_BPF", "bpf"},
    {"CAP_PERFMON", "perf_event_open"},
}};

Json rule(std::string_view calls, std::string_view action) {
  Json out = json_object();
  out["names"] = json_array();
  for (const std::string& name : split(calls, ' ')) {
    if (!name.empty()) out["names"].append(name);
  }
  out["action"] = std::string(action);
  return out;
}

Json argument(uint64_t index, uint64_t value, std::string_view op, uint64_t second = 0) {
  Json out = json_object();
  out["index"] = ::Json::UInt64{index};
  out["value"] = ::Json::UInt64{value};
  if (second != 0) out["valueTwo"] = ::Json::UInt64{second};
  out["op"] = std::string(op);
  return out;
}

Json rule_with_argument(std::string_view call, Json arg) {
  Json out = rule(call, "SCMP_ACT_ALLOW");
  out["args"] = json_array();
  out["args"].append(std::move(arg));
  return out;
}

// linux/personality.h: Linux, 32-bit uname, 2.6 uname and both, and "only ask".
constexpr std::array<uint64_t, 5> kPersonalities = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};
// linux/sched.h: CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET.
constexpr uint64_t kCloneNamespaces = 0x7E020000;
constexpr uint64_t kAfVsock = 40;

Json architectures() {
  Json out = json_array();
#if defined(__x86_64__)
  // Docker lists x32, too. Without it such calls are refused, which nobody misses, and the runtime compiles
  // the filter a quarter faster.
  for (const char* name : {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"}) out.append(name);
#elif defined(__aarch64__)
  for (const char* name : {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}) out.append(name);
#endif
  return out;
}

}  // namespace

Json default_seccomp(const std::vector<std::string>& capabilities) {
  const auto has = [&](std::string_view name) {
    return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
  };
  std::string always;
  for (const std::string_view group : kAlways) always += std::string(group) + " ";
  Json calls = json_array();
  for (const WithCapability& entry : kWithCapability) {
    if (has(entry.capability)) always += std::string(entry.calls) + " ";
  }
  calls.append(rule(always, "SCMP_ACT_ALLOW"));
  for (const uint64_t personality : kPersonalities) {
    calls.append(rule_with_argument("personality", argument(0, personality, "SCMP_CMP_EQ")));
  }
  // Virtual machine sockets reach past the container's network.
  calls.append(rule_with_argument("socket", argument(0, kAfVsock, "SCMP_CMP_NE")));
  if (!has("CAP_SYS_ADMIN")) {
    // (flags & namespaces) == 0: threads and processes yes, new namespaces no.
    Json clone = argument(0, kCloneNamespaces, "SCMP_CMP_MASKED_EQ");
    clone["valueTwo"] = ::Json::UInt64{0};
    calls.append(rule_with_argument("clone", std::move(clone)));
    // clone3's flags are behind a pointer: ENOSYS makes libc use clone.
    Json clone3 = rule("clone3", "SCMP_ACT_ERRNO");
    clone3["errnoRet"] = 38;
    calls.append(std::move(clone3));
  }
  Json out = json_object();
  out["defaultAction"] = "SCMP_ACT_ERRNO";
  out["defaultErrnoRet"] = 1;
  out["architectures"] = architectures();
  out["syscalls"] = std::move(calls);
  return out;
}

}  // namespace pouch::spec
