#pragma once

#include <set>
#include <string>

namespace pouch::sys {

/// Moves this process, alone, into the control group `path` ("/pouch-<id>/keeper") of every hierarchy that is
/// mounted, making what is missing. A hierarchy where that cannot be done is left as it is: false if it was
/// none at all that could.
bool enter_own_cgroup(const std::string& path);

/// Moves this process, when it is in `path`, back to the top of every hierarchy; then removes `path` and its
/// parent where they are empty. Waits half a second for processes in it that are on their way out; what has
/// some then stays.
void leave_own_cgroup(const std::string& path);

/// Whether some hierarchy has the group.
bool has_cgroup(const std::string& path);

/// The names of the groups right below `path` in any hierarchy.
std::set<std::string> cgroups_in(const std::string& path);

/// Removes `path` and all groups in it, in every hierarchy; those with processes stay.
void remove_cgroup_tree(const std::string& path);

/// Removes `path` and its parent where they are empty.
void remove_empty_cgroup(const std::string& path);

}  // namespace pouch::sys
