#pragma once

#include <string>
#include <string_view>

#include "core/registry/settings.h"
#include "core/registry/url.h"

namespace pouch::registry {

/// Whether `list` of $NO_PROXY has this URL's host, by the rules of Go's clients: "*" is all; a CIDR or an
/// address; "example.com" with all below it, ".example.com" and "*.example.com" only what is below it; any of
/// the last four with ":port". Loopback addresses and "localhost" always are.
bool is_without_proxy(const Url& url, std::string_view list);

/// URLs of proxies, with their accounts, and the hosts that are spoken to without; empty: none.
struct Proxies {
  std::string http;
  std::string https;
  std::string none;
};

/// Those of the settings, else of the environment.
Proxies proxies_of(const Settings& settings);

/// The proxy's URL for this one, of the settings or the environment; empty: none.
std::string proxy_for(const Settings& settings, const Url& url);

}  // namespace pouch::registry
