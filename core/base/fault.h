#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

// Fault injection, in builds with POUCH_FAULTS (the preset dev; never what is shipped, where all of this is
// nothing). A *point* is a place at which tests kill the process or have a step fail; its name is stable:
// "<what>.<step>.<before|after>", for example "rpc.tasks.start.after" or "row.containers.update.before".
//
// $POUCH_FAULTS_FILE names a control file, which is looked at again at each point, so that a test may change
// it while processes run. Programs started by the launcher are told of it too. Each line is one of
//
//   record FILE                    each point that is met is appended to FILE: "role name kind" (kill, fail)
//   ACTION ROLE POINT NTH          at the NTH time ("3"), or from then on ("3+"), that a process meets POINT
//
// with ROLE keeper, pouchd, host or *; POINT a name, or a beginning with '*' behind it; and ACTION one of
// kill, fail:ENOSPC (…EIO, EMFILE, or a code such as Unavailable), delay:MILLISECONDS. Without "+" a line
// acts once over all processes: whoever is first makes "<control file>.fired-<line, from 1>".

namespace pouch {

#ifdef POUCH_FAULTS

/// A point at which the process may be killed; for where a step has succeeded and cannot be said to have
/// failed.
void fault_kill(std::string_view step, std::string_view moment);
/// A point that may besides fail: the error that the test wants, or Ok.
Status fault_status(std::string_view step, std::string_view moment);
/// The same for system calls: an errno, or 0.
int fault_errno(std::string_view step, std::string_view moment);
/// False: no test wants anything, so that a name need not be made.
bool has_faults();
/// Another control file than $POUCH_FAULTS_FILE names, "" for none: for tests of this process.
void set_fault_file(const std::string& path);
/// What the launcher adds to the environment of its programs.
std::vector<std::string> fault_environment();

#else

inline void fault_kill(std::string_view /*step*/, std::string_view /*moment*/) {}
inline Status fault_status(std::string_view /*step*/, std::string_view /*moment*/) {
  return {};
}
inline int fault_errno(std::string_view /*step*/, std::string_view /*moment*/) {
  return 0;
}
constexpr bool has_faults() {
  return false;
}
inline std::vector<std::string> fault_environment() {
  return {};
}

#endif

/// Runs a step that answers a Status between its two points: netlink commits, mounts, renames.
template <class Step>
Status with_faults(std::string_view name, Step&& step) {
  POUCH_RETURN_IF_ERROR(fault_status(name, "before"));
  POUCH_RETURN_IF_ERROR(step());
  fault_kill(name, "after");
  return {};
}

}  // namespace pouch
