#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/registry/http.h"
#include "core/registry/settings.h"

namespace pouch::registry {

/// One place where a repository may be got.
struct Endpoint {
  std::string base;  ///< URL without a slash at its end: "https://registry-1.docker.io"
  std::string host;  ///< with port, as in the URL
  bool is_mirror = false;
  Transport transport;
};

/// Where images of a domain are, in the order in which to ask: mirrors, then the registry itself. An insecure
/// one stands there twice, first with TLS. Errors: a bad mirror URL, or a folder of certificates that cannot
/// be read.
Result<std::vector<Endpoint>> endpoints_of(const Settings& settings, const std::string& domain);

/// Whether `host` ("localhost:5000", "10.0.0.1", "[::1]:5000") is in `list` by name, by name and port, or by
/// CIDR. Loopback addresses always are.
bool is_insecure(const std::string& host, const std::vector<std::string>& list);

}  // namespace pouch::registry
