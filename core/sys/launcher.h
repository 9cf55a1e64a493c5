#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace pouch::sys {

/// A program that shall outlive and know nothing of this process.
struct LaunchSpec {
  std::string program;            ///< absolute path
  std::vector<std::string> args;  ///< without argv[0], which is `program`
  std::vector<std::string> env;   ///< "K=V"; all there is besides a default PATH
  std::string stdout_path;        ///< appended to, created 0600; "" is /dev/null
  std::string stderr_path;        ///< likewise
  std::vector<std::string>
      cgroup_procs_files;            ///< cgroup.procs files to enter, in order; failures are errors
  bool refuse_no_new_privs = false;  ///< PermissionDenied when this process has no_new_privs set
};

/// Starts it so that it inherits nothing: no fds but 0-2, default and unblocked signals, own session, cwd
/// "/", umask 022, nice 0, normal scheduling, all CPUs (both where permitted). It is no child of this
/// process, which gets no SIGCHLD for it; where this process is a subreaper, it becomes its child only as any
/// orphan does. Safe in a threaded host: no fork handlers run, nothing but system calls between clone and
/// exec. Returns after exec succeeded: its pid.
Result<int> launch_detached(const LaunchSpec& spec);

/// PermissionDenied when this process has no_new_privs set: what it launches could not run containers.
Status check_privileges();

}  // namespace pouch::sys
