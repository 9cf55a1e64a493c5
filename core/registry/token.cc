#include "core/registry/token.h"

#include <algorithm>
#include <utility>

#include "core/api/json.h"
#include "core/base/base64.h"
#include "core/base/text.h"

namespace pouch::registry {
namespace {

constexpr int64_t kDefaultSeconds = 60;  // the specification's, for a server that does not say
constexpr int64_t kMaxSeconds = 3'600;
constexpr size_t kMaxEntries = 1'000;
constexpr const char* kClientId = "pouch";

std::string escape(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  static constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

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
HttpRequest token_request(const Challenge& challenge, const std::optional<Credentials>& account) {
  const std::string realm = parameter(challenge, "realm");
  const std::string service = parameter(challenge, "service");
  HttpRequest request;
  if (account && !account->identity_token.empty()) {
    request.method = "POST";
    request.url = realm;
    request.headers = {"Content-Type: application/x-www-form-urlencoded"};
    request.body = "grant_type=refresh_token&service=" + escape(service) + "&client_id=" + kClientId +
                   "&scope=" + escape(parameter(challenge, "scope")) +
                   "&refresh_token=" + escape(account->identity_token);
    return request;
  }
  request.url = realm + (realm.find('?') == std::string::npos ? "?" : "&") + "service=" + escape(service) +
                scopes(challenge);
  if (account && !account->username.empty()) {
    request.url += "&account=" + escape(account->username);
    request.headers = {"Authorization: Basic " + base64_encode(account->username + ":" + account->password)};
  }
  return request;
}

Result<std::pair<std::string, int64_t>> read_token(const HttpAnswer& answer, const std::string& realm) {
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
  return std::pair(token.asString(), life);
}

}  // namespace

Result<std::string> TokenCache::get(net::HandlePool& pool, const Transport& transport,
                                    const Challenge& challenge, const std::optional<Credentials>& account,
                                    const Call& call) {
  const std::string realm = parameter(challenge, "realm");
  if (!realm.starts_with("http://") && !realm.starts_with("https://")) {
    return unavailable("the registry's token server " + quote(realm) + " is no http or https URL");
  }
  const std::string user =
      account ? account->username + "\n" + account->password + "\n" + account->identity_token : "";
  const std::string key =
      realm + "\n" + parameter(challenge, "service") + "\n" + parameter(challenge, "scope") + "\n" + user;
  {
    const std::lock_guard lock(mutex_);
    const auto at = entries_.find(key);
    if (at != entries_.end() && !at->second.end.has_passed()) return at->second.token;
  }
  const Exchange exchange = http_exchange(pool, transport, token_request(challenge, account), call);
  if (exchange.trouble == Trouble::kOurs) return exchange.status;
  if (exchange.trouble != Trouble::kNone) return exchange.status.prefix("token server " + quote(realm));
  const int status = exchange.answer.status;
  if (status == 401 || status == 403) {
    return Status(Code::kUnauthenticated, "unauthorized: incorrect username or password");
  }
  if (status != 200)
    return unavailable("token server " + quote(realm) + ": it answered " + std::to_string(status));
  POUCH_ASSIGN_OR_RETURN(auto token, read_token(exchange.answer, realm));
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxEntries) entries_.clear();
  entries_[key] = {token.first, Deadline::after_ms(token.second * 900)};  // nine tenths of its life
  return token.first;
}

void TokenCache::forget(const std::string& token) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&token](const auto& item) { return item.second.token == token; });
}

}  // namespace pouch::registry
