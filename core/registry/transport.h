#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/registry/settings.h"
#include "core/registry/url.h"

namespace pouch::registry {

/// How one host is reached.
struct Transport {
  bool verify = true;     ///< of its certificate
  std::string ca_pem;     ///< beside the system's certificates; empty: none
  std::string cert_file;  ///< of the client; empty: none
  std::string key_file;
  std::string proxy;  ///< URL; empty: none
};

/// For requests to `url` on behalf of the registry or mirror at `home` (host with port): the certificates of
/// certs.d for either count, as its token server and its storage often have the same authority. The client's
/// certificate is shown to those for whom it lies there and, as Docker does, to those `home` sends us to.
/// InvalidArgument or Unavailable where the folders are not as they should be.
Result<Transport> transport_of(const Settings& settings, const Url& url, const std::string& home);

/// Whether `host` ("localhost:5000", "10.0.0.1", "[::1]:5000") is in `list` by name, by name and port, or by
/// CIDR. Loopback addresses always are.
bool is_insecure(const std::string& host, const std::vector<std::string>& list);

}  // namespace pouch::registry
