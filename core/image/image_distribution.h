#pragma once

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/limits.h"
#include "core/image/pull_source.h"
#include "core/registry/reference.h"

namespace pouch::image {

/// image.distribution: what the registry has under the name (with tag or digest).
Result<api::DistributionInspect> inspect_distribution(PullSource& source, const Call& call,
                                                      const Reference& name, const ImageLimits& limits);

}  // namespace pouch::image
