#pragma once

#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/image_users.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// The end of a session: the names and images that it has made go, but for those that somebody else has made,
/// too. An image that is named or used by others then stays: with other sessions until their end, else for
/// good. Its containers must be gone already.
Status remove_session_images(EngineContext& context, ImageUsers* users, const Call& call,
                             const std::string& session);

}  // namespace pouch::image
