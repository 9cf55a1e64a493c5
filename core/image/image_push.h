#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/limits.h"
#include "core/image/progress.h"
#include "core/registry/client.h"
#include "core/registry/reference.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// What image.push was asked for.
struct PushRequest {
  Reference name;  ///< with a tag, but for all tags
  bool all_tags = false;
  std::optional<api::Platform> platform;
  std::vector<std::string> index;  ///< what an index of this name shall have; empty: an image is pushed
  std::optional<registry::Credentials> credentials;
};

/// InvalidArgument for what does not fit together.
Result<PushRequest> parse_push(const std::string& name, const api::ImagePushOptions& options);

/// Puts the images into the registry, in the order of their tags; each has its tag there as soon as it is
/// whole. Or those of an index, and then that.
Result<api::ImagePushResult> push_images(EngineContext& context, const Call& call,
                                         registry::Repository& repository, const PushRequest& request,
                                         Progress& progress, const ImageLimits& limits);

}  // namespace pouch::image
