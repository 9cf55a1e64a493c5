#pragma once

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"

namespace pouch::container {

/// Kills whatever task a container has, in whichever state, and removes it; Ok when there is none. Takes as
/// long as the kernel and the shim need, at most some seconds.
Status end_task(const ctrd::Client& client, const ContainerId& id);

}  // namespace pouch::container
