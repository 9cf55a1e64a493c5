#include "core/registry/docker_config.h"

#include <cstdlib>

#include "core/api/json.h"
#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/registry/text_file.h"

namespace pouch::registry {
namespace {

constexpr const char* kHub = "docker.io";
constexpr const char* kHubKey = "https://index.docker.io/v1/";
constexpr const char* kTokenUser = "<token>";  // of a helper whose secret is an identity token

std::string text_of(const Json& object, const char* name) {
  return object[name].isString() ? object[name].asString() : "";
}

Result<Credentials> read_account(const std::string& key, const Json& json) {
  Credentials out;
  if (!json.isObject()) return invalid_argument("the account of " + quote(key) + " is not an object");
  out.username = text_of(json, "username");
  out.password = text_of(json, "password");
  out.identity_token = text_of(json, "identitytoken");
  out.registry_token = text_of(json, "registrytoken");
  const std::string both = text_of(json, "auth");
  if (both.empty()) return out;
  const std::string text = base64_decode(both).value_or("");
  const size_t colon = text.find(':');
  if (colon == std::string::npos)
    return invalid_argument("the account of " + quote(key) + " is not user:password in base64");
  out.username = text.substr(0, colon);
  out.password = text.substr(colon + 1);
  // Docker pads passwords of its oldest files with zeros.
  out.password.erase(out.password.find_last_not_of('\0') + 1);
  return out;
}

Result<std::optional<Credentials>> ask_helper(const Settings& settings, const std::string& helper,
                                              const std::string& key) {
  const std::string program = "docker-credential-" + helper;
  if (!settings.run_helper) return not_implemented("credential helpers: " + quote(program));
  auto answer = settings.run_helper(program, "get", key);
  if (answer.code() == Code::kNotFound) return std::optional<Credentials>();
  if (!answer.is_ok()) return answer.status().prefix("credential helper " + quote(program));
  const Result<Json> json = parse_json(*answer);
  if (!json.is_ok() || !json->isObject())
    return invalid_argument("credential helper " + quote(program) + ": no JSON object");
  Credentials out;
  const std::string user = text_of(*json, "Username");
  const std::string secret = text_of(*json, "Secret");
  if (user == kTokenUser) {
    out.identity_token = secret;
  } else {
    out.username = user;
    out.password = secret;
  }
  return std::optional<Credentials>(std::move(out));
}

Json entry_of(const Credentials& account) {
  Json out = json_object();
  if (!account.username.empty()) out["auth"] = base64_encode(account.username + ":" + account.password);
  if (!account.identity_token.empty()) out["identitytoken"] = account.identity_token;
  if (!account.registry_token.empty()) out["registrytoken"] = account.registry_token;
  return out;
}

}  // namespace

std::string account_key(const std::string& domain) {
  return domain == kHub ? kHubKey : domain;
}

std::string docker_config_path(const Settings& settings) {
  if (!settings.docker_config.empty()) return settings.docker_config + "/config.json";
  if (const char* const folder = ::secure_getenv("DOCKER_CONFIG"); folder != nullptr && *folder != '\0') {
    return std::string(folder) + "/config.json";
  }
  const char* const home = ::secure_getenv("HOME");
  return home == nullptr ? "" : std::string(home) + "/.docker/config.json";
}

// "https://host/v1/" and "host" are the same place.
std::string domain_of_key(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  }
  const std::string host(key.substr(0, key.find('/')));
  return host == "index.docker.io" || host == "registry-1.docker.io" ? kHub : host;
}

Result<DockerConfig> DockerConfig::load(const Settings& settings) {
  const std::string path = docker_config_path(settings);
  if (path.empty()) return DockerConfig();
  POUCH_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  auto config = parse(text);
  if (!config.is_ok()) return config.status().prefix(path);
  return config;
}

Result<DockerConfig> DockerConfig::parse(std::string_view json) {
  DockerConfig out;
  if (trim(json).empty()) return out;
  POUCH_ASSIGN_OR_RETURN(const Json root, parse_json(json));
  if (!root.isObject()) return invalid_argument("it is not an object");
  if (const Json& auths = root["auths"]; auths.isObject()) {
    for (auto at = auths.begin(); at != auths.end(); ++at) {
      POUCH_ASSIGN_OR_RETURN(Credentials account, read_account(at.name(), *at));
      if (!account.is_empty()) out.auths_[domain_of_key(at.name())] = std::move(account);
    }
  }
  if (const Json& helpers = root["credHelpers"]; helpers.isObject()) {
    for (auto at = helpers.begin(); at != helpers.end(); ++at) {
      if (at->isString()) out.helpers_[domain_of_key(at.name())] = at->asString();
    }
  }
  out.store_ = text_of(root, "credsStore");
  return out;
}

Result<std::optional<Credentials>> DockerConfig::account(const std::string& domain,
                                                         const Settings& settings) const {
  // As Docker: an empty helper means that the file keeps this one, whatever the store is.
  if (const auto helper = helpers_.find(domain); helper != helpers_.end()) {
    if (!helper->second.empty()) return ask_helper(settings, helper->second, account_key(domain));
  } else if (!store_.empty()) {
    POUCH_ASSIGN_OR_RETURN(std::optional<Credentials> stored,
                           ask_helper(settings, store_, account_key(domain)));
    if (stored) return stored;
  }
  const auto at = auths_.find(domain);
  return at == auths_.end() ? std::optional<Credentials>() : std::optional(at->second);
}

std::string DockerConfig::helper_of(const std::string& domain) const {
  const auto helper = helpers_.find(domain);
  return helper == helpers_.end() ? store_ : helper->second;
}

Result<ChangedConfig> with_account(std::string_view json, const std::string& domain,
                                   const std::optional<Credentials>& account, bool is_kept_elsewhere) {
  Json root = json_object();
  if (!trim(json).empty()) {
    POUCH_ASSIGN_OR_RETURN(root, parse_json(json));
  }
  if (!root.isObject()) return invalid_argument("it is not an object");
  if (root.isMember("auths") && !root["auths"].isObject() && !root["auths"].isNull())
    return invalid_argument("auths: it is not an object");
  if (!root["auths"].isObject()) root["auths"] = json_object();
  ChangedConfig out;
  Json& auths = root["auths"];
  for (const std::string& key : auths.getMemberNames()) {
    if (domain_of_key(key) != domain) continue;
    auths.removeMember(key);
    out.had_account = true;
  }
  if (account) auths[account_key(domain)] = is_kept_elsewhere ? json_object() : entry_of(*account);
  out.text = write_indented_json(root, "\t") + "\n";
  return out;
}

}  // namespace pouch::registry
