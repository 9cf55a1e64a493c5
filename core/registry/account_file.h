#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/registry/settings.h"

namespace pouch::registry {

struct ChangedConfig {
  std::string text;
  bool had_account = false;  ///< for that domain, before
};

/// Docker's config.json with one account set (or erased: nullopt), everything else as it was, indented by
/// tabs as Docker writes it. With `is_kept_elsewhere` the account stands there by its name alone: the secret
/// is a helper's. `json` may be empty. InvalidArgument where it is no JSON object.
Result<ChangedConfig> with_account(std::string_view json, const std::string& domain,
                                   const std::optional<Credentials>& account, bool is_kept_elsewhere);

/// Keeps (nullopt: forgets) an account with the helper that config.json names for the domain, and in the
/// file, which is replaced at once (0600), one change after the other among processes. False: there was
/// nothing to forget.
Result<bool> change_account(const Settings& settings, const Call& call, const std::string& domain,
                            const std::optional<Credentials>& account);

}  // namespace pouch::registry
