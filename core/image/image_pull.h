#pragma once

#include <memory>

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/limits.h"
#include "core/image/progress.h"
#include "core/image/pull_source.h"
#include "core/image/pull_target.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// Gets the images of the targets, in their order; each is known as soon as it is whole. Nothing is left of
/// one that fails, and the ones before it stay.
Result<api::ImagePullResult> pull_images(EngineContext& context, const Call& call, PullSource& source,
                                         const std::vector<PullTarget>& targets, bool all_tags,
                                         Progress& progress, const ImageLimits& limits);

}  // namespace pouch::image
