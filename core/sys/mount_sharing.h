#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

// For programs in mount namespaces of their own: services with PrivateMounts or PrivateTmp, `ip netns exec`.

namespace pouch::sys {

/// Whether process `pid` is in another mount namespace than this one; false when it is not ours to look at.
bool has_other_mounts(int pid);
/// Such a process sees from here on what is mounted below these folders, absolute and there, and we what it
/// mounts there: this process's namespace gets the other's folders at their places, where they are not yet;
/// there, a folder whose mounts go nowhere (no systemd has made "/" shared) becomes a mount of its own.
/// PermissionDenied when a path is another folder there; `who` is the process in the message.
Status share_mounts(int pid, const std::string& who, const std::vector<std::string>& folders);

/// Whether a new /sys hides the control groups, as that of `ip netns exec` does. Never in the mount namespace
/// of process 1, nor where there are some.
bool are_cgroups_hidden();
/// Then mounts them at /sys/fs/cgroup, in this mount namespace; else nothing.
Status mount_hidden_cgroups();

}  // namespace pouch::sys
