#pragma once

#include <optional>
#include <vector>

#include "core/image/archive_images.h"

namespace pouch::image {

/// See find_images().
Result<std::vector<ImageContent>> read_oci_layout(const ArchiveStage& stage,
                                                  const std::optional<api::Platform>& platform,
                                                  const ImageLimits& limits);

}  // namespace pouch::image
