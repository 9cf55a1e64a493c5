#pragma once

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/image_users.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// image.prune. `users` may be null: nobody uses images. One image after the other; what was removed before
/// the call was cancelled stays removed, and is told by events only.
Result<api::ImagePruneResult> prune_images(EngineContext& context, ImageUsers* users, const Call& call,
                                           const api::ImagePruneOptions& options);

}  // namespace pouch::image
