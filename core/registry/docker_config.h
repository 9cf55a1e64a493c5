#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/registry/settings.h"

namespace pouch::registry {

/// The accounts in Docker's config.json.
class DockerConfig {
 public:
  /// The file of the settings; one that is not there is empty. Errors name the file, never its content.
  static Result<DockerConfig> load(const Settings& settings);
  /// InvalidArgument where it is no JSON object, or an account in it cannot be read.
  static Result<DockerConfig> parse(std::string_view json);

  /// The account for a registry's domain ("docker.io", "localhost:5000"): of its helper, of the store, or of
  /// the file.
  Result<std::optional<Credentials>> account(const std::string& domain, const Settings& settings) const;
  /// The helper that keeps the domain's account ("pass" is docker-credential-pass), or empty: the file does.
  std::string helper_of(const std::string& domain) const;

 private:
  std::map<std::string, Credentials> auths_;  ///< by host
  std::map<std::string, std::string> helpers_;
  std::string store_;
};

/// The path of config.json; empty where nothing says where it is.
std::string docker_config_path(const Settings& settings);

/// The domain that a key of config.json ("https://index.docker.io/v1/") is about.
std::string domain_of_key(std::string_view key);

/// Docker Hub's name in config.json and to helpers is a URL; others are known by their host.
std::string account_key(const std::string& domain);

struct ChangedConfig {
  std::string text;
  bool had_account = false;  ///< for that domain, before
};

/// Docker's config.json with one account set (or erased: nullopt), everything else as it was, indented by
/// tabs as Docker writes it. With `is_kept_elsewhere` the account stands there by its name alone: the secret
/// is a helper's. `json` may be empty. InvalidArgument where it is no JSON object.
Result<ChangedConfig> with_account(std::string_view json, const std::string& domain,
                                   const std::optional<Credentials>& account, bool is_kept_elsewhere);

}  // namespace pouch::registry
