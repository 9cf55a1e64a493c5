#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/api/op.h"

namespace pouch::http {

/// Where a request goes. `op` is null when there is no such route.
struct Route {
  const api::OpInfo* op = nullptr;
  std::vector<std::string> ids;  ///< decoded
};

/// A request's target in its parts.
struct Target {
  std::string version;  ///< "1.41"; empty when the path has no prefix
  std::string path;     ///< without the prefix, still percent-encoded
  std::string query;
};

Target parse_target(std::string_view target);

/// Finds the operation of a method and an encoded path. Fixed segments win over ids; an id takes one segment,
/// or several where the operation says so. NotFound when there is none.
Route find_route(std::string_view method, std::string_view path);

/// "1.41" → 41; -1 when it is not 1.N.
int minor_version(std::string_view version);

}  // namespace pouch::http
