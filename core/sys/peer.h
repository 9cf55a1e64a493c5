#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace pouch::sys {

/// Whether somebody listens at a unix socket, told at once. Ok, also when its queue is full. Else Unavailable
/// (absent, refuses), PermissionDenied or InvalidArgument; the message is the reason alone.
Status probe_socket(const std::string& path);

/// Process id of who listens there, 0 when it is in another pid namespace.
Result<int> listener_of(const std::string& path);

/// The folders in which a process finds programs: its PATH, then that of its own program. Empty when it is
/// not ours to look at.
std::vector<std::string> program_dirs_of(int pid);

}  // namespace pouch::sys
