#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace pouch::registry {

/// An account. Never logged.
struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;  ///< exchanged for bearer tokens (OAuth2's refresh token)
  std::string registry_token;  ///< sent as it is

  bool is_empty() const { return username.empty() && identity_token.empty() && registry_token.empty(); }
};

/// What a Client goes by. The defaults are Docker's places.
struct Settings {
  /// Folder of Docker's config.json; empty: $DOCKER_CONFIG, then ~/.docker.
  std::string docker_config;
  /// Folders of Docker's layout: <host[:port]>/*.crt (CAs), *.cert and *.key (of the client).
  std::vector<std::string> certs_dirs{"/etc/pouch/certs.d", "/etc/docker/certs.d"};
  /// Hosts, host:port or CIDRs that may have any certificate, or speak plain HTTP; loopback addresses always
  /// may.
  std::vector<std::string> insecure;
  /// Base URLs that are asked before the registry of that name ("docker.io").
  std::map<std::string, std::vector<std::string>> mirrors;
  /// Unset: those of the environment.
  std::optional<std::string> http_proxy;
  std::optional<std::string> https_proxy;
  std::optional<std::string> no_proxy;
  /// A transfer without a byte for so long is given up, and resumed where it can be.
  int64_t stall_ms = 30'000;
  /// Blobs are pushed in pieces of this size, each of which is there for good when it has been taken. A
  /// registry may want larger ones.
  int64_t chunk_bytes = int64_t{32} << 20U;
  /// Runs a credential helper ("docker-credential-pass", "get") with its input and gives its output; NotFound
  /// when it has nothing for that. Unset: helpers are not supported.
  std::function<Result<std::string>(const std::string& program, const std::string& verb,
                                    const std::string& input)>
      run_helper;
};

}  // namespace pouch::registry
