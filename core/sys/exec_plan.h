#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/base/status.h"

// Shared by launcher.cc and child.cc; not for others.

namespace pouch::sys::detail {

/// All that a new process needs between clone and exec, prepared before, so that nothing is allocated there.
/// The process shares our memory until exec (CLONE_VM|CLONE_VFORK), so its failure is told in `error` and
/// `step`.
struct ExecPlan {
  std::string program;
  std::vector<std::string> arg_storage;
  std::vector<std::string> env_storage;
  std::vector<char*> argv;  // null-terminated, into arg_storage
  std::vector<char*> envp;
  std::array<int, 3> stdio = {-1, -1, -1};  // descriptors to become 0-2; -1: /dev/null or the path below
  std::array<std::string, 3> stdio_paths;   // opened for appending when not empty
  std::vector<std::string> cgroup_procs_files;
  std::string working_dir = "/";
  bool new_session = true;
  bool reset_scheduling = false;  // nice, policy, affinity, OOM score
  bool die_with_parent = false;   // SIGKILL when the starting thread ends
  volatile int error = 0;
  const char* volatile step = "";
};

void finish_plan(ExecPlan& plan);  ///< fills argv and envp
/// A child of ours; its pidfd in `*pidfd` when not null.
Result<int> start_child(ExecPlan& plan, int* pidfd);
/// A process that is nobody's child but init's.
Result<int> start_orphan(ExecPlan& plan);

}  // namespace pouch::sys::detail
