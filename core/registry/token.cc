#include "core/registry/token.h"

#include <utility>

#include "core/base/text.h"
#include "core/registry/retrying.h"
#include "core/registry/token_text.h"
#include "core/registry/url.h"

namespace pouch::registry {
namespace {

constexpr size_t kMaxEntries = 1'000;

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
  return read_token(exchange.answer.body, without_account(realm));
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
