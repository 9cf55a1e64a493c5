#pragma once

#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/ctrd/types.h"

namespace pouch::image {

/// The root folder of what a snapshotter's mounts make, read-only, in no mount namespace that anybody sees:
/// it goes with the descriptor. Writes of a container that runs on them are seen. NotImplemented for mounts
/// other than one overlay or one bind.
Result<UniqueFd> open_merged_rootfs(const std::vector<ctrd::Mount>& mounts);

}  // namespace pouch::image
