#pragma once

#include <memory>

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/image/image_push.h"
#include "core/image/limits.h"
#include "core/image/progress.h"
#include "core/registry/client.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// Puts the images of request.index into the repository, each under its digest, and then an index of them
/// under the request's tag. The client is under a lease. Nothing is sent before all is known to fit.
Result<api::PushedImage> push_index(EngineContext& context, const Call& call,
                                    const std::shared_ptr<ctrd::Client>& leased,
                                    registry::Repository& repository, const PushRequest& request,
                                    Progress& progress, const ImageLimits& limits);

}  // namespace pouch::image
