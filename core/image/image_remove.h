#pragma once

#include <string>
#include <vector>

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/image_users.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// image.remove, by Moby's rules. `users` may be null: nobody uses images. Once the database has forgotten
/// the image, its content goes with containerd's garbage collector, which has run when this returns.
Result<std::vector<api::ImageDeleteItem>> remove_by_name(EngineContext& context, ImageUsers* users,
                                                         const Call& call, const std::string& name,
                                                         bool is_forced);

}  // namespace pouch::image
