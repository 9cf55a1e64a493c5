#pragma once

#include <string>

#include "core/base/status.h"
#include "core/registry/http.h"

namespace pouch::registry {

enum class Action { kPull, kPush };

/// An answer other than 2xx as an error, with Docker's words, which its users know, and the registry's own.
/// `name` is the repository's familiar name.
Status answer_error(const HttpAnswer& answer, const std::string& name, Action action, bool has_account);

/// "MANIFEST_UNKNOWN" of {"errors":[{"code","message","detail"}]}, or empty.
std::string error_code_of(const HttpAnswer& answer);

}  // namespace pouch::registry
