#pragma once

#include <optional>

#include "core/api/common.gen.h"
#include "core/base/status.h"
#include "core/registry/settings.h"

namespace pouch::image {

/// The account in a client's document; none in one without user and tokens, as Docker's clients send it.
/// InvalidArgument where `auth` is not username:password in base64.
Result<std::optional<registry::Credentials>> credentials_of(const std::optional<api::AuthConfig>& auth);

}  // namespace pouch::image
