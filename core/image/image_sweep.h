#pragma once

#include <memory>

#include "core/base/cancel.h"
#include "core/ctrd/client.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// Takes away what imports and removals of engines that ended half-way left in containerd: leases of dead
/// owners and those of ours that could not be deleted, and image records that the database does not know.
/// What it cannot do is also logged and left to the next one.
Status sweep_left_behind(const EngineContext& context, const std::shared_ptr<ctrd::Client>& client,
                         const Call& call);

}  // namespace pouch::image
