#pragma once

#include "core/base/status.h"

namespace pouch::keeper {

/// Gives up for ever what a name server does not need: user, groups, capabilities, new processes, files, and
/// each system call but those that receive, send and wait. It ends with the thread that has started it. For a
/// process with one thread.
Status confine_to_network();

}  // namespace pouch::keeper
