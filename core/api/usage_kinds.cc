#include "core/api/usage_kinds.h"

namespace pouch::api {

Result<UsageKinds> parse_usage_kinds(const std::optional<std::vector<std::string>>& types) {
  if (!types || types->empty()) return UsageKinds{true, true, true, true};
  UsageKinds out;
  for (const std::string& type : *types) {
    if (type == "container") {
      out.containers = true;
    } else if (type == "image") {
      out.images = true;
    } else if (type == "volume") {
      out.volumes = true;
    } else if (type == "build-cache") {
      out.build_cache = true;
    } else {
      return invalid_argument("unknown object type: " + type);
    }
  }
  return out;
}

}  // namespace pouch::api
