#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/api/op.h"

namespace pouch::remote {

/// RFC 3986: everything but unreserved characters as %XX; '/' stays when `keep_slashes`.
std::string percent_encode(std::string_view text, bool keep_slashes = false);

/// "/v1.50/containers/x/stop?t=3": path and query of an operation. `version` is empty for none.
/// InvalidArgument for a value that does not fit its parameter.
Result<std::string> request_target(const api::OpInfo& op, std::string_view version,
                                   const std::vector<std::string>& ids, const Json* options);

/// "X-Registry-Auth: eyJ1c2Vybm…": those options that do not stand in the target.
std::vector<std::string> option_headers(const api::OpInfo& op, const Json* options);

}  // namespace pouch::remote
