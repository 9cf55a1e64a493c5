#pragma once

#include <vector>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/ctrd/client.h"
#include "core/registry/reference.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// Puts containerd's records of an image and of these names to what the database says now: each points to
/// the manifest of the image that has it, or goes. What fails is logged.
void match_records(const EngineContext& context, const ctrd::Client& client, const Call& call,
                   const Digest& id, const std::vector<Reference>& names);

}  // namespace pouch::image
