#include <utility>

#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/registry/account_file.h"
#include "core/registry/challenge.h"
#include "core/registry/client.h"
#include "core/registry/docker_config.h"
#include "core/registry/retrying.h"
#include "core/registry/session.h"

namespace pouch::registry {
namespace {

constexpr int64_t kConnectMs = 2'000;  // an insecure registry is tried twice, with TLS and without

// Where the account is to be tried.
struct Place {
  Network& network;
  const Endpoint& endpoint;
  const Call& call;

  Exchange ask(const std::string& authorization) const {
    HttpRequest request;
    request.url = endpoint.base.str() + "/v2/";
    request.connect_ms = kConnectMs;
    if (!authorization.empty()) request.headers = {"Authorization: " + authorization};
    return with_retries(call, Patience{}, [&] { return network.send(endpoint.base.host, request, call); });
  }
};

// Docker's words, which its users know.
Status refusal(const Endpoint& endpoint, const HttpAnswer& answer, const std::string& domain) {
  const std::string url = endpoint.base.str() + "/v2/";
  if (answer.status == 401 || answer.status == 403)
    return {Code::kUnauthenticated, "login attempt to " + url +
                                        " failed with status: " + std::to_string(answer.status) +
                                        (answer.status == 401 ? " Unauthorized" : " Forbidden")};
  return answer_error(answer, "login to " + domain, Action::kPull, true);
}

// By the challenge of a registry that answered 401.
Result<Credentials> meet(const Place& place, const HttpAnswer& asked, const std::string& domain,
                         const Credentials& account) {
  Credentials kept = account;
  std::string authorization;
  for (const Challenge& challenge : parse_challenges(asked.header("www-authenticate"))) {
    if (challenge.scheme == "basic" && !account.username.empty()) {
      authorization = "Basic " + base64_encode(account.username + ":" + account.password);
    } else if (challenge.scheme == "bearer") {
      auto token = log_in_to_realm(place.network, place.endpoint.base.host, challenge, account, place.call);
      if (!token.is_ok()) return token.status().prefix("login to " + domain);
      authorization = "Bearer " + token->value;
      if (!token->identity_token.empty()) {
        kept.identity_token = token->identity_token;
        kept.password.clear();
      }
    }
    if (!authorization.empty()) break;
  }
  if (authorization.empty()) return refusal(place.endpoint, asked, domain);
  const Exchange exchange = place.ask(authorization);
  if (exchange.trouble != Trouble::kNone) return exchange.status.prefix("login to " + domain);
  if (exchange.answer.status != 200) return refusal(place.endpoint, exchange.answer, domain);
  return kept;
}

}  // namespace

Result<Credentials> Client::login(const Call& call, const std::string& registry, const Credentials& account) {
  const std::string domain = domain_of_key(registry);
  if (account.is_empty()) return invalid_argument("login to " + domain + ": an empty account");
  Settings settings = common_->network.settings();
  settings.mirrors.clear();
  POUCH_ASSIGN_OR_RETURN(const std::vector<Endpoint> endpoints, endpoints_of(settings, domain));
  std::vector<std::string> tried;
  for (const Endpoint& endpoint : endpoints) {
    const Place place{common_->network, endpoint, call};
    const Exchange exchange = place.ask("");
    if (exchange.trouble == Trouble::kOurs) return exchange.status;
    if (exchange.trouble != Trouble::kNone) {
      tried.push_back(told(endpoint, exchange));
      continue;
    }
    if (exchange.answer.status == 401) return meet(place, exchange.answer, domain, account);
    if (exchange.answer.status == 200) return account;  // it takes everybody
    return refusal(endpoint, exchange.answer, domain);
  }
  return unavailable("login to " + domain + ": " + join(tried, "; "));
}

Result<std::optional<Credentials>> Client::find_account(const std::string& registry) {
  const Settings& settings = common_->network.settings();
  POUCH_ASSIGN_OR_RETURN(const DockerConfig config, DockerConfig::load(settings));
  return config.account(domain_of_key(registry), settings);
}

Status Client::store_account(const Call& call, const std::string& registry, const Credentials& account) {
  return change_account(common_->network.settings(), call, domain_of_key(registry), account).status();
}

Result<bool> Client::erase_account(const Call& call, const std::string& registry) {
  return change_account(common_->network.settings(), call, domain_of_key(registry), std::nullopt);
}

}  // namespace pouch::registry
