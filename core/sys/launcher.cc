#include "core/sys/launcher.h"

#include <sys/prctl.h>

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

}  // namespace

Status check_privileges() {
  if (!has_no_new_privs()) return {};
  return findings::no_new_privileges().status(Code::kPermissionDenied);
}

Result<int> launch_detached(const LaunchSpec& spec) {
  if (spec.program.empty() || spec.program.front() != '/') {
    return invalid_argument("launch " + quote(spec.program) + ": not an absolute path");
  }
  if (spec.refuse_no_new_privs)
    POUCH_RETURN_IF_ERROR(check_privileges().prefix("launch " + quote(spec.program)));
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
