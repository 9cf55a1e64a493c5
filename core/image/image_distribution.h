#pragma once

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/limits.h"
#include "core/registry/client.h"
#include "core/registry/reference.h"

namespace pouch::image {

/// image.distribution: what the registry has under the name (with tag or digest).
Result<api::DistributionInspect> inspect_distribution(registry::Repository& repository, const Call& call,
                                                      const Reference& name, const ImageLimits& limits);

}  // namespace pouch::image
