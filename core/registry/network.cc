#include "core/registry/network.h"

#include <optional>

#include "core/base/text.h"
#include "core/registry/url.h"

namespace pouch::registry {
namespace {

constexpr int kMaxRedirects = 10;

// Of other methods than GET and HEAD only those that keep method and body.
bool is_redirect(const HttpRequest& request, const HttpAnswer& answer) {
  if (answer.header("location").empty()) return false;
  if (answer.status == 307 || answer.status == 308) return true;
  const bool reads = request.method == "GET" || request.method == "HEAD";
  return reads && (answer.status == 301 || answer.status == 302 || answer.status == 303);
}

Exchange ours(Status status) {
  return {Trouble::kOurs, std::move(status), {}, {}};
}

void drop_authorization(HttpRequest& request) {
  std::erase_if(request.headers,
                [](const std::string& line) { return to_lower(line).starts_with("authorization:"); });
}

}  // namespace

Exchange Network::send(const std::string& home, HttpRequest request, const Call& call) {
  if (request.stall_ms == 0) request.stall_ms = settings_.stall_ms;
  std::optional<Url> url = parse_url(request.url);
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    if (!url) return ours(unavailable("no http or https URL: " + quote(without_account(request.url))));
    request.url = url->str();
    const Result<Transport> transport = transport_of(settings_, *url, home);
    if (!transport.is_ok()) return ours(transport.status());
    Exchange exchange = http_exchange(pool_, *transport, request, call);
    if (exchange.trouble != Trouble::kNone) {
      if (hop > 0 && exchange.trouble != Trouble::kOurs)
        exchange.status = exchange.status.prefix("redirected to " + url->scheme + "://" + url->host);
      return exchange;
    }
    exchange.answer.url = request.url;
    if (!is_redirect(request, exchange.answer)) return exchange;
    const std::string location = exchange.answer.header("location");
    std::optional<Url> next = resolve_location(*url, location);
    if (!next || !is_same_origin(*url, *next)) {
      if (request.has_secret) return exchange;
      drop_authorization(request);
    }
    if (!next) request.url = location;
    url = std::move(next);
  }
  return ours(unavailable("more than " + std::to_string(kMaxRedirects) + " redirects"));
}

}  // namespace pouch::registry
