#include "core/sys/launcher.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/fault.h"
#include "core/base/finding.h"
#include "core/base/text.h"
#include "core/sys/exec_plan.h"

namespace pouch::sys {
namespace {

constexpr char kDefaultPath[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

bool has_no_new_privs() {
  return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

// 0 when it cannot be told (no /proc, another user's process).
ino_t namespace_inode(const std::string& path) {
  struct stat facts = {};
  return ::stat(path.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

}  // namespace

Status check_launch_place(int pid) {
  if (has_no_new_privs()) {
    return findings::no_new_privileges().status(Code::kPermissionDenied);
  }
  if (pid <= 0) return {};
  for (const char* kind : {"mnt", "net", "pid"}) {
    const ino_t mine = namespace_inode(std::string("/proc/self/ns/") + kind);
    const ino_t theirs = namespace_inode("/proc/" + std::to_string(pid) + "/ns/" + kind);
    if (mine != 0 && theirs != 0 && mine != theirs) {
      return {Code::kPermissionDenied, std::string("this process is in another ") + kind +
                                           " namespace than process " + std::to_string(pid)};
    }
  }
  return {};
}

Result<int> launch_detached(const LaunchSpec& spec) {
  if (spec.program.empty() || spec.program.front() != '/') {
    return invalid_argument("launch " + quote(spec.program) + ": not an absolute path");
  }
  if (spec.refuse_no_new_privs)
    POUCH_RETURN_IF_ERROR(check_launch_place(0).prefix("launch " + quote(spec.program)));
  detail::ExecPlan plan;
  plan.program = spec.program;
  plan.arg_storage.push_back(spec.program);
  plan.arg_storage.insert(plan.arg_storage.end(), spec.args.begin(), spec.args.end());
  plan.env_storage = spec.env;
  for (std::string& variable : fault_environment()) plan.env_storage.push_back(std::move(variable));
  const bool has_path = std::any_of(spec.env.begin(), spec.env.end(), [](const std::string& variable) {
    return variable.starts_with("PATH=");
  });
  if (!has_path) plan.env_storage.emplace_back(kDefaultPath);
  plan.stdio_paths = {"", spec.stdout_path, spec.stderr_path};
  plan.cgroup_procs_files = spec.cgroup_procs_files;
  plan.reset_scheduling = true;
  detail::finish_plan(plan);
  return detail::start_orphan(plan);
}

}  // namespace pouch::sys
