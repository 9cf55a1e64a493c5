#pragma once

#include <optional>
#include <string>

#include "core/api/common.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"

namespace pouch {

// Accounts at registries where Docker's clients keep them: config.json of $DOCKER_CONFIG or ~/.docker, and
// the credential helpers that it names. Errors name the file or the helper.

Result<std::optional<api::AuthConfig>> find_account(const std::string& registry);
Status store_account(const Call& call, const std::string& registry, const api::AuthConfig& account);
/// False: there was none.
Result<bool> erase_account(const Call& call, const std::string& registry);

}  // namespace pouch
