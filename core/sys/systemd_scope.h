#pragma once

#include <string>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/sys/launcher.h"

// systemd's rules for control groups v2: it owns the tree, and others make groups only below a unit that it
// delegates to them, with processes in the leaves alone. A root has one such unit, a scope; its programs run
// in <scope>/keeper and the like, its containers in <scope>/<id>. With v1 systemd has no such rule.

namespace pouch::sys {

inline constexpr char kScopeLock[] = "scope.start";  ///< in the root's run folder, for launch_in_cgroup

/// Where the control groups of a root are, from the top of the hierarchy: "/<name>";
/// "/system.slice/<name>.scope" where systemd runs the host and control groups are v2 alone. Looks at the
/// host, cheaply, at each call.
std::string root_cgroup(const std::string& name);
std::string root_cgroup(const std::string& name, bool has_systemd);  ///< the same without a look

/// True for a path that `root_cgroup` has put below systemd: the group comes and goes with its processes.
bool is_scope(const std::string& cgroup);

/// As launch_detached; where `cgroup` (of root_cgroup) is a scope that is not there yet, the program starts
/// in a new one. The program moves on into its own group below `cgroup` itself. Who launches at the same time
/// is kept off by a lock on `lock_file`. Unavailable when systemd makes no scope.
Result<int> launch_in_cgroup(const LaunchSpec& spec, const std::string& cgroup, const std::string& lock_file,
                             Deadline deadline);

}  // namespace pouch::sys
