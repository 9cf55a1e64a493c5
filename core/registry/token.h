#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/registry/challenge.h"
#include "core/registry/network.h"
#include "core/registry/settings.h"

namespace pouch::registry {

/// What a token server gave.
struct Token {
  std::string value;
  std::string identity_token;  ///< in exchange for a password, when that was asked for; may be empty
};

/// Bearer tokens of token servers (the distribution project's token specification), kept until shortly before
/// they end. Thread-safe.
class TokenCache {
 public:
  /// A token for what the challenge asks, of the cache or of its realm. `home` is the registry's host.
  /// Unauthenticated when the realm refuses the account; Unavailable names the realm.
  Result<std::string> get(Network& network, const std::string& home, const Challenge& challenge,
                          const std::optional<Credentials>& account, const Call& call);
  /// One that was refused although it should be good.
  void forget(const std::string& token);

 private:
  struct Entry {
    std::string token;
    Deadline end;
  };
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;  ///< protected by mutex_
};

/// Asks the realm anew, also for an identity token: what `docker login` does.
Result<Token> log_in_to_realm(Network& network, const std::string& home, const Challenge& challenge,
                              const Credentials& account, const Call& call);

}  // namespace pouch::registry
