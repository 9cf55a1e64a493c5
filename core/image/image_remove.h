#pragma once

#include <string>
#include <vector>

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/image_users.h"
#include "core/registry/reference.h"
#include "core/store/database.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// image.remove, by Moby's rules. `users` may be null: nobody uses images. Once the database has forgotten
/// the image, its content goes with containerd's garbage collector, which has run when this returns.
Result<std::vector<api::ImageDeleteItem>> remove_by_name(EngineContext& context, ImageUsers* users,
                                                         const Call& call, const std::string& name,
                                                         bool is_forced);

// For the end of a session. Both give the names of containerd's records that are to go, for forget_records()
// after the commit.

/// Takes a name off its image, which stays.
Result<std::vector<std::string>> remove_name_alone(EngineContext& context, store::Transaction& transaction,
                                                   const Reference& reference);
/// Conflict when the image has a name or a user.
Result<std::vector<std::string>> remove_unused_image(EngineContext& context, ImageUsers* users,
                                                     store::Transaction& transaction, const Digest& id);
void forget_records(EngineContext& context, const Call& call, const std::vector<std::string>& records);

}  // namespace pouch::image
