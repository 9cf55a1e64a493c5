#pragma once

#include <cstdint>
#include <vector>

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/image_store.h"
#include "core/image/image_users.h"
#include "core/image/limits.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// Fills in how many containers use each image.
Status count_users(ImageUsers* users, std::vector<api::ImageSummary>& images);

/// The manifests of an image, of which one is here: which blobs it has, and who uses it. A manifest whose
/// blobs containerd has lost is not available.
Result<std::vector<api::ManifestSummary>> manifests_of(EngineContext& context, ImageUsers* users,
                                                       const Call& call, const Digest& id,
                                                       const ImageLimits& limits);

}  // namespace pouch::image
