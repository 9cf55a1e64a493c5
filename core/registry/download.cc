#include "core/registry/download.h"

#include <optional>

#include "core/base/base64.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/registry/url.h"

namespace pouch::registry {
namespace {

constexpr int kHexBase = 16;

// "a b" of "a%20b"; what is no such escape stays.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view hex = text.substr(i + 1 <= text.size() ? i + 1 : text.size(), 2);
    const auto byte = whole_number<uint8_t>(hex, kHexBase);
    const bool is_escape = text[i] == '%' && hex.size() == 2 && byte;
    out += is_escape ? static_cast<char>(*byte) : text[i];
    if (is_escape) i += 2;
  }
  return out;
}

// Of the account in the URL; empty: it has none.
std::string authorization_of(std::string_view url) {
  const size_t begin = url.find("://") + 3;
  const std::string_view authority = url.substr(begin, url.find_first_of("/?#", begin) - begin);
  const size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return {};
  const std::string_view account = authority.substr(0, at);
  const size_t colon = account.find(':');
  const std::string password = colon == std::string_view::npos ? "" : unescape(account.substr(colon + 1));
  return "Authorization: Basic " + base64_encode(unescape(account.substr(0, colon)) + ":" + password);
}

int64_t length_of(const HttpAnswer& head) {
  return leading_number(head.header("content-length"), int64_t{-1});
}

Status error_of(int status) {
  const std::string text = "the server answered " + std::to_string(status);
  switch (status) {
    case 401:
    case 403:
    case 407:
      return {Code::kPermissionDenied, text};
    case 404:
    case 410:
      return not_found(text);
    default:
      return unavailable(text);
  }
}

}  // namespace

Status fetch_file(Network& network, const Call& call, const std::string& url, const FileSink& sink) {
  const std::optional<Url> parsed = parse_url(url);
  if (!parsed) return invalid_argument("no http or https URL: " + quote(without_account(url)));
  const std::string what = "fetch " + parsed->str();
  HttpRequest request;
  request.url = parsed->str();
  if (std::string header = authorization_of(url); !header.empty()) request.headers.push_back(header);
  Status sunk;
  request.sink = [&](const HttpAnswer& head, std::string_view bytes) {
    sunk = sink(length_of(head), bytes);
    return sunk;
  };
  const Exchange exchange = network.send(parsed->host, request, call);
  if (!sunk.is_ok()) return sunk;
  POUCH_RETURN_IF_ERROR(call.check());
  const std::string proxy = exchange.proxy.empty() ? "" : " by the proxy " + exchange.proxy;
  if (exchange.trouble != Trouble::kNone) return exchange.status.prefix(what + proxy);
  const HttpAnswer& answer = exchange.answer;
  if (answer.status == 200) return {};
  const std::string place = answer.url == request.url ? "" : ", redirected to " + answer.url;
  return error_of(answer.status).prefix(what + place + proxy);
}

}  // namespace pouch::registry
