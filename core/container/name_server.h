#pragma once

#include "core/api/container.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/container/container_files.h"
#include "core/container/container_networks.h"
#include "core/store/engine_context.h"

namespace pouch::container {

/// Has the keeper serve names in the run's network namespace, which is there. False when the keeper is an
/// older one that cannot: then the container has to do with the host's servers.
Result<bool> serve_names(EngineContext& context, const NetworkPlan& network, const Call& call);

}  // namespace pouch::container
