#pragma once

#include <optional>
#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/registry/settings.h"

namespace pouch::registry {

/// Keeps (nullopt: forgets) an account with the helper that config.json names for the domain, and in the
/// file, which is replaced at once (0600), one change after the other among processes. False: there was
/// nothing to forget.
Result<bool> change_account(const Settings& settings, const Call& call, const std::string& domain,
                            const std::optional<Credentials>& account);

}  // namespace pouch::registry
