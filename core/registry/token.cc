#include "core/registry/token.h"

#include <algorithm>
#include <utility>

#include "core/api/json.h"
#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/registry/retrying.h"
#include "core/registry/url.h"

namespace pouch::registry {
namespace {

constexpr int64_t kDefaultSeconds = 60;  // the specification's, for a server that does not say
constexpr int64_t kMaxSeconds = 3'600;
constexpr size_t kMaxEntries = 1'000;
constexpr const char* kClientId = "pouch";

std::string parameter(const Challenge& challenge, const char* name) {
  const auto at = challenge.parameters.find(name);
  return at == challenge.parameters.end() ? "" : at->second;
}

// "&scope=a&scope=b": a scope parameter may hold several, by blanks.
std::string scopes(const Challenge& challenge) {
  std::string out;
  for (const std::string& scope : split(parameter(challenge, "scope"), ' ')) {
    if (!scope.empty()) out += "&scope=" + escape(scope);
  }
  return out;
}

// With an identity token by POST (OAuth2), else by GET.
HttpRequest token_request(const Challenge& challenge, const std::optional<Credentials>& account,
                          bool wants_identity) {
  const std::string realm = parameter(challenge, "realm");
  const std::string service = parameter(challenge, "service");
  HttpRequest request;
  request.has_secret = true;
  if (account && !account->identity_token.empty()) {
    request.method = "POST";
    request.url = realm;
    request.headers = {"Content-Type: application/x-www-form-urlencoded"};
    request.body = "grant_type=refresh_token&service=" + escape(service) + "&client_id=" + kClientId +
                   "&scope=" + escape(parameter(challenge, "scope")) +
                   "&refresh_token=" + escape(account->identity_token);
    return request;
  }
  request.url = with_parameter(realm, "service", service) + scopes(challenge);
  if (account && !account->username.empty()) {
    request.url = with_parameter(request.url, "account", account->username);
    if (wants_identity) {
      request.url =
          with_parameter(with_parameter(request.url, "client_id", kClientId), "offline_token", "true");
    }
    request.headers = {"Authorization: Basic " + base64_encode(account->username + ":" + account->password)};
  }
  return request;
}

struct Granted {
  Token token;
  int64_t seconds = 0;
};

Result<Granted> read_token(const HttpAnswer& answer, const std::string& realm) {
  const Result<Json> json = parse_json(answer.body);
  if (!json.is_ok() || !json->isObject())
    return unavailable("token server " + quote(realm) + ": its answer is no JSON object");
  const Json& token = (*json)["token"].isString() ? (*json)["token"] : (*json)["access_token"];
  if (!token.isString() || token.asString().empty())
    return unavailable("token server " + quote(realm) + ": it gave no token");
  if (token.asString().find_first_of("\r\n") != std::string::npos)
    return unavailable("token server " + quote(realm) + ": a bad token");
  const Json& seconds = (*json)["expires_in"];
  const int64_t life = seconds.isInt64()
                           ? std::clamp<int64_t>(seconds.asInt64(), kDefaultSeconds, kMaxSeconds)
                           : kDefaultSeconds;
  const Json& identity = (*json)["refresh_token"];
  return Granted{{token.asString(), identity.isString() ? identity.asString() : ""}, life};
}

Result<Granted> ask_realm(Network& network, const std::string& home, const Challenge& challenge,
                          const std::optional<Credentials>& account, bool wants_identity, const Call& call) {
  const std::string realm = parameter(challenge, "realm");
  if (!parse_url(realm)) {
    return unavailable("the registry's token server " + quote(without_account(realm)) +
                       " is no http or https URL");
  }
  const HttpRequest request = token_request(challenge, account, wants_identity);
  const Exchange exchange = with_retries(call, Patience{}, [&] { return network.send(home, request, call); });
  const std::string who = "token server " + quote(without_account(realm));
  if (exchange.trouble == Trouble::kOurs) return exchange.status;
  if (exchange.trouble != Trouble::kNone)
    return exchange.status.prefix(who + (exchange.proxy.empty() ? "" : " by the proxy " + exchange.proxy));
  const int status = exchange.answer.status;
  if (status == 401 || status == 403) {
    return Status(Code::kUnauthenticated, "unauthorized: incorrect username or password");
  }
  if (status == 429) return Status(Code::kResourceExhausted, who + ": it wants fewer requests (429)");
  if (status != 200) return unavailable(who + ": it answered " + std::to_string(status));
  return read_token(exchange.answer, without_account(realm));
}

}  // namespace

Result<std::string> TokenCache::get(Network& network, const std::string& home, const Challenge& challenge,
                                    const std::optional<Credentials>& account, const Call& call) {
  const std::string user =
      account ? account->username + "\n" + account->password + "\n" + account->identity_token : "";
  const std::string key = parameter(challenge, "realm") + "\n" + parameter(challenge, "service") + "\n" +
                          parameter(challenge, "scope") + "\n" + user;
  {
    const std::lock_guard lock(mutex_);
    const auto at = entries_.find(key);
    if (at != entries_.end() && !at->second.end.has_passed()) return at->second.token;
  }
  POUCH_ASSIGN_OR_RETURN(const Granted granted, ask_realm(network, home, challenge, account, false, call));
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxEntries) entries_.clear();
  entries_[key] = {granted.token.value,
                   Deadline::after_ms(granted.seconds * 900)};  // nine tenths of its life
  return granted.token.value;
}

void TokenCache::forget(const std::string& token) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&token](const auto& item) { return item.second.token == token; });
}

Result<Token> log_in_to_realm(Network& network, const std::string& home, const Challenge& challenge,
                              const Credentials& account, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(Granted granted, ask_realm(network, home, challenge, account, true, call));
  return std::move(granted.token);
}

}  // namespace pouch::registry
