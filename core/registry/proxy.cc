#include "core/registry/proxy.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "core/base/text.h"
#include "core/registry/network_address.h"

namespace pouch::registry {
namespace {

std::string environment(std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    if (const char* const value = ::secure_getenv(name); value != nullptr && *value != '\0') return value;
  }
  return "";
}

// The client of a CGI program sets its HTTP_PROXY by a header "Proxy".
std::string http_proxy_of_environment() {
  if (::secure_getenv("REQUEST_METHOD") != nullptr) return environment({"http_proxy"});
  return environment({"http_proxy", "HTTP_PROXY"});
}

bool names_host(std::string_view pattern, const std::string& name) {
  if (pattern.starts_with("*.")) pattern.remove_prefix(1);
  if (pattern.starts_with(".")) return name.size() > pattern.size() && name.ends_with(pattern);
  return name == pattern || name.ends_with("." + std::string(pattern));
}

bool is_excepted(const std::string& entry, const Url& url, const std::optional<NetworkAddress>& address) {
  if (entry == "*") return true;
  if (entry.find('/') != std::string::npos) return address && is_within(*address, entry);
  // A bare "::1" has colons and no port.
  const bool is_bare_address = parse_address(entry).has_value();
  const auto place =
      is_bare_address
          ? parse_url("http://" + (entry.find(':') == std::string::npos ? entry : "[" + entry + "]"))
          : parse_url("http://" + entry);
  if (!place) return false;
  const bool has_port = !is_bare_address && !entry.ends_with("]") && entry.find(':') != std::string::npos;
  if (has_port && place->port() != url.port()) return false;
  const std::string name = place->name();
  if (const auto listed = parse_address(name)) {
    return address && address->bits == listed->bits && address->bytes == listed->bytes;
  }
  return !address && names_host(name, url.name());
}

}  // namespace

bool is_without_proxy(const Url& url, std::string_view list) {
  const std::string name = url.name();
  const std::optional<NetworkAddress> address = parse_address(name);
  if (name == "localhost" || (address && address->is_loopback())) return true;
  const std::vector<std::string> entries = split(list, ',');
  return std::any_of(entries.begin(), entries.end(), [&](const std::string& entry) {
    const std::string word = to_lower(trim(entry));
    return !word.empty() && is_excepted(word, url, address);
  });
}

Proxies proxies_of(const Settings& settings) {
  return {settings.http_proxy.value_or(http_proxy_of_environment()),
          settings.https_proxy.value_or(environment({"https_proxy", "HTTPS_PROXY"})),
          settings.no_proxy.value_or(environment({"no_proxy", "NO_PROXY"}))};
}

std::string proxy_for(const Settings& settings, const Url& url) {
  const Proxies proxies = proxies_of(settings);
  const std::string& proxy = url.is_tls() ? proxies.https : proxies.http;
  return proxy.empty() || is_without_proxy(url, proxies.none) ? "" : proxy;
}

}  // namespace pouch::registry
