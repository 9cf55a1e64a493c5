#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace pouch::api {

/// What system.df is to tell of.
struct UsageKinds {
  bool containers = false;
  bool images = false;
  bool volumes = false;
  bool build_cache = false;
};

/// The option `type` of system.df; all when it is empty or absent. InvalidArgument, in Moby's words, for what
/// is none.
Result<UsageKinds> parse_usage_kinds(const std::optional<std::vector<std::string>>& types);

}  // namespace pouch::api
