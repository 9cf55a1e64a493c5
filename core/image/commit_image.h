#pragma once

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/container/image_lookup.h"
#include "core/image/limits.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// See ImageLookup::commit. Nothing is left when it fails.
Result<Digest> commit_image(EngineContext& context, const Call& call, const CommitRequest& request,
                            const ImageLimits& limits);

}  // namespace pouch::image
