#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/registry/endpoints.h"
#include "core/registry/errors.h"
#include "core/registry/network.h"
#include "core/registry/reference.h"
#include "core/registry/token.h"

namespace pouch::registry {

/// What all repositories of a client share.
struct Common {
  explicit Common(Settings settings) : network(std::move(settings)) {}

  Network network;
  TokenCache tokens;
};

/// What is said of an endpoint that could not be asked: its URL, by which proxy, and why.
std::string told(const Endpoint& endpoint, const Exchange& exchange);

/// Talks with the registry and the mirrors of one repository, as one account. Thread-safe.
class Session {
 public:
  static Result<std::unique_ptr<Session>> make(std::shared_ptr<Common> common, const Reference& reference,
                                               const std::optional<Credentials>& account);
  Session(std::shared_ptr<Common> common, Reference reference, std::optional<Credentials> account,
          std::vector<Endpoint> endpoints)
      : common_(std::move(common)),
        reference_(std::move(reference)),
        account_(std::move(account)),
        endpoints_(std::move(endpoints)) {}

  const Settings& settings() const { return common_->network.settings(); }
  const Reference& reference() const { return reference_; }
  /// "library/busybox" is at "/v2/library/busybox".
  std::string path() const { return "/v2/" + reference_.path(); }

  /// Asks the mirrors and the registry until one answers 2xx. `make` makes the request, without its URL,
  /// for each of them. `trouble` becomes what went wrong with the last; kNone: it answered.
  Result<HttpAnswer> get(const Call& call, const std::string& path, const std::function<HttpRequest()>& make,
                         Trouble* trouble = nullptr);
  /// Asks the registry itself, at a path or at a URL that it named; every answer counts.
  Result<HttpAnswer> ask_registry(const Call& call, const std::string& place, const HttpRequest& request,
                                  Trouble* trouble = nullptr);

  Status error_of(const HttpAnswer& answer, Action action) const;

 private:
  Exchange ask(const Call& call, const Endpoint& endpoint, const HttpRequest& request, Deadline reach);
  Exchange ask_once(const Call& call, const Endpoint& endpoint, HttpRequest request);
  Result<bool> authorize(const Call& call, const Endpoint& endpoint, const std::string& key,
                         const HttpAnswer& answer);
  Result<std::optional<Credentials>> account_for(const Endpoint& endpoint) const;
  Status unreachable(const std::vector<std::string>& tried) const;
  std::string authorization(const std::string& key);
  void forget(const std::string& key, const std::string& value);
  size_t first();
  void set_first(size_t endpoint);

  const std::shared_ptr<Common> common_;
  const Reference reference_;
  const std::optional<Credentials> account_;  ///< for the registry itself
  const std::vector<Endpoint> endpoints_;

  std::mutex mutex_;
  // Below protected by mutex_.
  size_t first_ = 0;  ///< the endpoint that answered last: those before it did not
  std::map<std::string, std::string> authorizations_;  ///< by host and what for
};

}  // namespace pouch::registry
