#pragma once

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/byte_source.h"
#include "core/image/limits.h"
#include "core/image/progress.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// What can be said of the options before any byte came.
Status check_rootfs_options(const api::ImageFromRootfsOptions& options);

/// image.from_rootfs; `upload` is read unless `path` is given. Nothing is left when it fails.
Result<api::ImageFromRootfsResult> image_from_rootfs(EngineContext& context, const Call& call,
                                                     const api::ImageFromRootfsOptions& options,
                                                     ByteSource& upload, Progress& progress,
                                                     const ImageLimits& limits);

}  // namespace pouch::image
