#include "core/registry/url.h"

#include <algorithm>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::registry {
namespace {

constexpr int kHttpPort = 80;
constexpr int kHttpsPort = 443;
constexpr int kMaxPort = 65'535;

bool is_foreign(char c) {
  return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '\\';
}

// Where ":port" begins, or npos; the colons of "[::1]" are not meant.
size_t port_colon(std::string_view host) {
  const size_t colon = host.rfind(':');
  const size_t bracket = host.rfind(']');
  return bracket != std::string_view::npos && colon != std::string_view::npos && colon < bracket
             ? std::string_view::npos
             : colon;
}

// -1: there is none; 0: it is none.
int read_port(std::string_view host) {
  const size_t colon = port_colon(host);
  if (colon == std::string_view::npos) return -1;
  const int port = whole_number<int>(host.substr(colon + 1)).value_or(0);
  return port > 0 && port <= kMaxPort ? port : 0;
}

bool is_host(std::string_view host) {
  if (host.empty() || host.front() == ':' || read_port(host) == 0) return false;
  const std::string_view name = host.substr(0, port_colon(host));
  if (name.front() != '[') return name.find_first_of("[]:") == std::string_view::npos;
  return name.size() > 2 && name.back() == ']' && name.find_first_of("[]", 1) == name.size() - 1;
}

}  // namespace

std::string Url::name() const {
  const std::string bare = host.substr(0, port_colon(host));
  return bare.starts_with("[") ? bare.substr(1, bare.size() - 2) : bare;
}

int Url::port() const {
  const int port = read_port(host);
  return port > 0 ? port : is_tls() ? kHttpsPort : kHttpPort;
}

std::optional<Url> parse_url(std::string_view text) {
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos || std::any_of(text.begin(), text.end(), is_foreign))
    return std::nullopt;
  Url url;
  url.scheme = to_lower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") return std::nullopt;
  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, end);
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
  if (!is_host(authority)) return std::nullopt;
  url.host = to_lower(authority);
  url.target = rest.substr(end);
  if (url.target.starts_with("?")) url.target.insert(0, "/");
  return url;
}

std::optional<Url> resolve_location(const Url& base, std::string_view location) {
  if (location.empty()) return std::nullopt;
  const size_t scheme = location.find("://");
  if (scheme != std::string_view::npos && scheme < location.find_first_of("/?#")) return parse_url(location);
  if (location.starts_with("//")) return parse_url(base.scheme + ":" + std::string(location));
  const std::string origin = base.scheme + "://" + base.host;
  if (location.front() == '/') return parse_url(origin + std::string(location));
  const std::string path = base.target.substr(0, base.target.find('?'));
  if (location.front() == '?' || location.front() == '#')
    return parse_url(origin + path + std::string(location));
  return parse_url(origin + "/" + path.substr(std::min<size_t>(1, path.size()), path.rfind('/')) +
                   std::string(location));
}

bool is_same_origin(const Url& a, const Url& b) {
  return a.scheme == b.scheme && a.name() == b.name() && a.port() == b.port();
}

std::string without_account(std::string_view url) {
  const size_t colon = url.find("://");
  const size_t begin = colon == std::string_view::npos ? 0 : colon + 3;
  const std::string_view authority = url.substr(begin, url.find_first_of("/?#", begin) - begin);
  const size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, begin)) + "xxxxx" + std::string(url.substr(begin + at));
}

std::string with_parameter(const std::string& url, std::string_view name, std::string_view value) {
  const char joint = url.find('?') == std::string::npos ? '?' : '&';
  return url + joint + std::string(name) + "=" + escape(value);
}

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

}  // namespace pouch::registry
