#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/registry/challenge.h"
#include "core/registry/http.h"
#include "core/registry/settings.h"

namespace pouch::registry {

/// Bearer tokens of token servers (the distribution project's token specification), kept until shortly before
/// they end. Thread-safe.
class TokenCache {
 public:
  /// A token for what the challenge asks, of the cache or of its realm. Unauthenticated when the realm
  /// refuses the account.
  Result<std::string> get(net::HandlePool& pool, const Transport& transport, const Challenge& challenge,
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

}  // namespace pouch::registry
