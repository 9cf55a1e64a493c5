#pragma once

#include <functional>
#include <string_view>

#include "core/api/json.h"

namespace pouch::bridge {

/// Calls `visit(parent, key)` for every object that holds the last name of `path`'s parents: "A.B[].C" goes
/// into every element of the list B, "A.B{}.C" into every value of the map B. Objects that are not there are
/// skipped; the member itself may be absent.
void visit_path(Json& document, std::string_view path,
                const std::function<void(Json& parent, std::string_view key)>& visit);

/// Removes what the path names.
void remove_path(Json& document, std::string_view path);

}  // namespace pouch::bridge
