#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/image_config.h"
#include "core/image/image_importer.h"
#include "core/image/tar_writer.h"
#include "core/registry/reference.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// An image of one layer that is to be made.
struct RootfsImage {
  std::optional<Reference> name;  ///< with a tag
  ImageConfigFacts facts;         ///< without diff ids
  std::string comment;            ///< of the step in its history
};

/// Makes it of what `fill` writes, and makes it known. Nothing is left when it fails.
Result<ImportedImage> make_rootfs_image(EngineContext& context, const Call& call, const RootfsImage& wanted,
                                        const std::function<Status(TarWriter& layer)>& fill);

/// Manifest and config of `content`, whose config_json, facts, layers and names are set.
void set_documents(ImageContent& content);

}  // namespace pouch::image
