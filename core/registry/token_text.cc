#include "core/registry/token_text.h"

#include <algorithm>
#include <utility>

#include "core/api/json.h"
#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/registry/url.h"

namespace pouch::registry {
namespace {

constexpr int64_t kDefaultSeconds = 60;  // the specification's, for a server that does not say
constexpr int64_t kMaxSeconds = 3'600;
constexpr const char* kClientId = "pouch";

// "&scope=a&scope=b": a scope parameter may hold several, by blanks.
std::string scopes(const Challenge& challenge) {
  std::string out;
  for (const std::string& scope : split(parameter(challenge, "scope"), ' ')) {
    if (!scope.empty()) out += "&scope=" + escape(scope);
  }
  return out;
}

}  // namespace

bool is_header_text(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string parameter(const Challenge& challenge, const char* name) {
  const auto at = challenge.parameters.find(name);
  return at == challenge.parameters.end() ? "" : at->second;
}

HttpRequest token_request(const Challenge& challenge, const std::optional<Credentials>& account,
                          bool wants_identity) {
  // A fragment is not sent, nor would be parameters behind it.
  const std::string whole = parameter(challenge, "realm");
  const std::string realm = whole.substr(0, whole.find('#'));
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

Result<Granted> read_token(std::string_view answer, const std::string& realm) {
  const Result<Json> json = parse_json(answer);
  if (!json.is_ok() || !json->isObject())
    return unavailable("token server " + quote(realm) + ": its answer is no JSON object");
  const Json& token = (*json)["token"].isString() ? (*json)["token"] : (*json)["access_token"];
  if (!token.isString() || token.asString().empty())
    return unavailable("token server " + quote(realm) + ": it gave no token");
  if (!is_header_text(token.asString())) return unavailable("token server " + quote(realm) + ": a bad token");
  const Json& seconds = (*json)["expires_in"];
  const int64_t life = seconds.isInt64()
                           ? std::clamp<int64_t>(seconds.asInt64(), kDefaultSeconds, kMaxSeconds)
                           : kDefaultSeconds;
  const Json& identity = (*json)["refresh_token"];
  return Granted{{token.asString(), identity.isString() ? identity.asString() : ""}, life};
}

}  // namespace pouch::registry
