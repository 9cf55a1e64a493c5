#pragma once

#include <string>
#include <vector>

#include "core/api/image.gen.h"
#include "core/base/status.h"
#include "core/store/database.h"

namespace pouch::image {

/// image.history, newest step first. One consistent view of the database.
Result<std::vector<api::ImageHistoryItem>> image_history(store::Session& session, const std::string& name,
                                                         const api::ImageHistoryOptions& options);

}  // namespace pouch::image
