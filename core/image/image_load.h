#pragma once

#include <optional>

#include "core/api/common.gen.h"
#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/byte_source.h"
#include "core/image/limits.h"
#include "core/image/progress.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// image.load from `source` to its end. Nothing is left when it fails.
Result<api::ImageLoadResult> load_images(EngineContext& context, const Call& call, ByteSource& source,
                                         const std::optional<api::Platform>& platform, Progress& progress,
                                         const ImageLimits& limits);

}  // namespace pouch::image
