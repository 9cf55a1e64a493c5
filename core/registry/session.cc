#include "core/registry/session.h"

#include <algorithm>
#include <utility>

#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/registry/challenge.h"
#include "core/registry/docker_config.h"
#include "core/registry/retrying.h"
#include "core/registry/token_text.h"

namespace pouch::registry {
namespace {

// Who cannot be reached is told within 10 s, however many places there are to ask; in ms.
constexpr int64_t kReachMs = 8'000;
constexpr int64_t kLongestConnectMs = 4'000;
constexpr int64_t kShortestConnectMs = 250;
constexpr int kMirrorTries = 2;  // the next is asked rather than waited for

bool reads(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// The challenge of a place that the registry redirected us to is none of ours.
bool is_challenge_of(const Endpoint& endpoint, const Exchange& exchange) {
  if (exchange.trouble != Trouble::kNone || exchange.answer.status != 401) return false;
  const std::optional<Url> url = parse_url(exchange.answer.url);
  return url && is_same_origin(*url, endpoint.base);
}

}  // namespace

std::string told(const Endpoint& endpoint, const Exchange& exchange) {
  const std::string proxy = exchange.proxy.empty() ? "" : " by the proxy " + exchange.proxy;
  return endpoint.base.str() + proxy + ": " + exchange.status.message();
}

Result<std::unique_ptr<Session>> Session::make(std::shared_ptr<Common> common, const Reference& reference,
                                               const std::optional<Credentials>& account) {
  POUCH_ASSIGN_OR_RETURN(std::vector<Endpoint> endpoints,
                         endpoints_of(common->network.settings(), reference.domain()));
  return std::make_unique<Session>(std::move(common), reference, account, std::move(endpoints));
}

Result<HttpAnswer> Session::get(const Call& call, const std::string& path,
                                const std::function<HttpRequest()>& make, Trouble* trouble) {
  std::vector<std::string> tried;
  const Deadline reach = Deadline::after_ms(kReachMs);
  for (size_t i = first(); i < endpoints_.size(); ++i) {
    const Endpoint& endpoint = endpoints_[i];
    const auto left = static_cast<int64_t>(endpoints_.size() - i);
    const Deadline share = Deadline::after_ms(reach.remaining_ns() / 1'000'000 / left);
    HttpRequest request = make();
    request.url = endpoint.base.str() + path;
    Exchange exchange = ask(call, endpoint, request, share);
    if (trouble != nullptr) *trouble = exchange.trouble;
    if (exchange.trouble == Trouble::kOurs) return exchange.status;
    if (exchange.trouble == Trouble::kRefused && !endpoint.is_mirror) return exchange.status;
    if (exchange.trouble != Trouble::kNone) {
      tried.push_back(told(endpoint, exchange));
      continue;
    }
    if (exchange.answer.status >= 200 && exchange.answer.status < 300) {
      set_first(i);
      return std::move(exchange.answer);
    }
    const Status error = error_of(exchange.answer, Action::kPull);
    if (!endpoint.is_mirror) return error;
    tried.push_back(endpoint.base.str() + ": " + error.message());
  }
  return unreachable(tried);
}

Result<HttpAnswer> Session::ask_registry(const Call& call, const std::string& place,
                                         const HttpRequest& request, Trouble* trouble) {
  std::vector<std::string> tried;
  const Deadline reach = Deadline::after_ms(kReachMs);
  for (size_t i = first(); i < endpoints_.size(); ++i) {
    const Endpoint& endpoint = endpoints_[i];
    if (endpoint.is_mirror) continue;
    const auto left = static_cast<int64_t>(endpoints_.size() - i);
    HttpRequest one = request;
    one.url = place.starts_with("/") ? endpoint.base.str() + place : place;
    Exchange exchange = ask(call, endpoint, one, Deadline::after_ms(reach.remaining_ns() / 1'000'000 / left));
    if (trouble != nullptr) *trouble = exchange.trouble;
    if (exchange.trouble == Trouble::kOurs || exchange.trouble == Trouble::kRefused) return exchange.status;
    if (exchange.trouble == Trouble::kNone) {
      set_first(i);
      return std::move(exchange.answer);
    }
    tried.push_back(told(endpoint, exchange));
  }
  return unreachable(tried);
}

Status Session::unreachable(const std::vector<std::string>& tried) const {
  return unavailable("reach a registry for " + reference_.familiar_repository() + ": " + join(tried, "; "));
}

Exchange Session::ask(const Call& call, const Endpoint& endpoint, const HttpRequest& request,
                      Deadline reach) {
  Patience patience;
  if (endpoint.is_mirror) patience.tries = kMirrorTries;
  if (request.upload) patience.tries = 1;  // who uploads must see first how far it came
  patience.is_stream = request.sink != nullptr || request.upload.has_value();
  patience.reach = reach;
  bool is_there = false;
  return with_retries(call, patience, [&] {
    HttpRequest one = request;
    const int64_t left = is_there ? kLongestConnectMs : reach.remaining_ns() / 1'000'000;
    one.connect_ms = std::clamp(left, kShortestConnectMs, kLongestConnectMs);
    Exchange exchange = ask_once(call, endpoint, std::move(one));
    is_there = is_there || exchange.trouble != Trouble::kUnreachable;
    return exchange;
  });
}

// With what is known of authorization; when the server wants other, it is asked for once.
Exchange Session::ask_once(const Call& call, const Endpoint& endpoint, HttpRequest request) {
  const std::optional<Url> url = parse_url(request.url);
  const bool is_home = url && is_same_origin(*url, endpoint.base);
  // What is good for reading is not for writing; to take turns with two tokens would cost one each time.
  const std::string key = endpoint.base.host + (reads(request) ? " pull" : " push");
  const size_t plain = request.headers.size();
  for (const bool is_last : {false, true}) {
    request.headers.resize(plain);
    const std::string known = is_home ? authorization(key) : "";
    if (!known.empty()) request.headers.push_back("Authorization: " + known);
    Exchange exchange = common_->network.send(endpoint.base.host, request, call);
    if (is_last || !is_challenge_of(endpoint, exchange)) return exchange;
    if (!known.empty()) forget(key, known);
    Result<bool> authorized = authorize(call, endpoint, key, exchange.answer);
    if (!authorized.is_ok()) {
      const Status over = call.check();
      return {over.is_ok() ? Trouble::kRefused : Trouble::kOurs, authorized.status(), {}, {}};
    }
    if (!*authorized) return exchange;  // the server's answer stands
  }
  return {};
}

std::string Session::authorization(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto at = authorizations_.find(key);
  return at == authorizations_.end() ? "" : at->second;
}

void Session::forget(const std::string& key, const std::string& value) {
  if (value.starts_with("Bearer ")) common_->tokens.forget(value.substr(7));
  const std::lock_guard lock(mutex_);
  const auto at = authorizations_.find(key);
  // Another thread may have a new one already.
  if (at != authorizations_.end() && at->second == value) authorizations_.erase(at);
}

// False: there is no challenge that we can meet.
Result<bool> Session::authorize(const Call& call, const Endpoint& endpoint, const std::string& key,
                                const HttpAnswer& answer) {
  POUCH_ASSIGN_OR_RETURN(const std::optional<Credentials> who, account_for(endpoint));
  std::string value;
  if (who && !who->registry_token.empty()) {
    if (!is_header_text(who->registry_token))
      return invalid_argument("the registry token of the account holds control characters");
    value = "Bearer " + who->registry_token;
  } else {
    for (const Challenge& challenge : parse_challenges(answer.header("www-authenticate"))) {
      if (challenge.scheme == "basic" && who && !who->username.empty()) {
        value = "Basic " + base64_encode(who->username + ":" + who->password);
      } else if (challenge.scheme == "bearer") {
        POUCH_ASSIGN_OR_RETURN(
            const std::string token,
            common_->tokens.get(common_->network, endpoint.base.host, challenge, who, call));
        value = "Bearer " + token;
      }
      if (!value.empty()) break;
    }
  }
  if (value.empty()) return false;
  const std::lock_guard lock(mutex_);
  authorizations_[key] = std::move(value);
  return true;
}

// The account that was given is the registry's and not for its mirrors.
Result<std::optional<Credentials>> Session::account_for(const Endpoint& endpoint) const {
  if (!endpoint.is_mirror && account_) return account_;
  POUCH_ASSIGN_OR_RETURN(const DockerConfig config, DockerConfig::load(settings()));
  return config.account(endpoint.is_mirror ? endpoint.base.host : reference_.domain(), settings());
}

Status Session::error_of(const HttpAnswer& answer, Action action) const {
  bool has_account = account_.has_value();
  if (answer.status == 401 && !has_account) {
    const auto stored = account_for(endpoints_.back());
    has_account = stored.is_ok() && stored->has_value();
  }
  return answer_error(answer, reference_.familiar_repository(), action, has_account);
}

size_t Session::first() {
  const std::lock_guard lock(mutex_);
  return first_;
}

void Session::set_first(size_t endpoint) {
  const std::lock_guard lock(mutex_);
  first_ = endpoint;
}

}  // namespace pouch::registry
