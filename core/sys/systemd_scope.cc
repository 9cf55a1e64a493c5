#include "core/sys/systemd_scope.h"

#include <linux/magic.h>
#include <poll.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/find_program.h"

namespace pouch::sys {
namespace {

constexpr char kTop[] = "/sys/fs/cgroup";
// Where systemd puts scopes that name no slice.
constexpr char kSlice[] = "/system.slice/";
constexpr char kSuffix[] = ".scope";
// Seconds that processes have between SIGTERM and SIGKILL when the host shuts down; as docker stop.
constexpr char kStopSeconds[] = "TimeoutStopSec=10";

bool has_v2_alone() {
  struct statfs facts = {};
  return ::statfs(kTop, &facts) == 0 && facts.f_type == CGROUP2_SUPER_MAGIC;
}

// The test that systemd documents, sd_booted(3).
bool is_run_by_systemd() {
  return ::access("/run/systemd/system", F_OK) == 0;
}

bool exists(const std::string& cgroup) {
  return ::access((kTop + cgroup).c_str(), F_OK) == 0;
}

// systemd-run makes a scope of itself and becomes the program: the same process all along.
Result<LaunchSpec> wrapped(const LaunchSpec& spec, const std::string& cgroup) {
  LaunchSpec out = spec;
  POUCH_ASSIGN_OR_RETURN(out.program, find_program("systemd-run", {}));
  const std::string unit = cgroup.substr(cgroup.rfind('/') + 1);
  out.args = {"--scope",
              "--quiet",
              "--collect",
              "--unit=" + unit,
              "--property=Delegate=yes",
              std::string("--property=") + kStopSeconds,
              "--description=Pouch containers",
              "--",
              spec.program};
  out.args.insert(out.args.end(), spec.args.begin(), spec.args.end());
  return out;
}

bool is_in(int pid, const std::string& cgroup) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/cgroup");
  return text.is_ok() && text->find("::" + cgroup) != std::string::npos;
}

}  // namespace

std::string root_cgroup(const std::string& name, bool has_systemd) {
  return has_systemd ? kSlice + name + kSuffix : "/" + name;
}

std::string root_cgroup(const std::string& name) {
  return root_cgroup(name, has_v2_alone() && is_run_by_systemd());
}

bool is_scope(const std::string& cgroup) {
  return cgroup.starts_with(kSlice) && cgroup.ends_with(kSuffix);
}

Result<int> launch_in_cgroup(const LaunchSpec& spec, const std::string& cgroup, const std::string& lock_file,
                             Deadline deadline) {
  if (!is_scope(cgroup)) return launch_detached(spec);
  Result<FileLock> lock = FileLock::acquire(lock_file, deadline);
  if (!lock.is_ok()) return lock.status().prefix("start " + quote(spec.program));
  if (exists(cgroup)) return launch_detached(spec);
  POUCH_ASSIGN_OR_RETURN(const LaunchSpec scoped, wrapped(spec, cgroup));
  POUCH_ASSIGN_OR_RETURN(const int pid, launch_detached(scoped));
  const Result<UniqueFd> pidfd = open_pidfd(pid);
  while (pidfd.is_ok() && !is_in(pid, cgroup)) {
    if (wait_pidfd(pidfd->get(), Deadline::after_ms(2))) {
      return unavailable("start " + quote(spec.program) + ": systemd-run made no scope " + quote(cgroup));
    }
    if (deadline.has_passed()) {
      return Status(Code::kDeadlineExceeded,
                    "start " + quote(spec.program) + ": systemd has not made scope " + quote(cgroup));
    }
  }
  return pid;
}

}  // namespace pouch::sys
