#include "core/image/registry_access.h"

#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/image/credential_helper.h"
#include "core/registry/proxy.h"
#include "core/registry/settings_file.h"
#include "core/registry/url.h"

namespace pouch::image {
namespace {

constexpr const char* kHub = "docker.io";

bool is_network(const std::string& entry) {
  return entry.find('/') != std::string::npos;
}

// As dockerd shows them.
std::vector<std::string> mirrors_of(const registry::Settings& settings, const std::string& domain) {
  std::vector<std::string> out;
  const auto found = settings.mirrors.find(domain);
  if (found == settings.mirrors.end()) return out;
  for (const std::string& url : found->second) {
    out.push_back(registry::without_account(url) + (url.ends_with('/') ? "" : "/"));
  }
  return out;
}

api::IndexInfo index_of(const registry::Settings& settings, const std::string& domain) {
  api::IndexInfo out;
  out.name = domain;
  out.mirrors = mirrors_of(settings, domain);
  const auto& insecure = settings.insecure;
  out.secure = std::find(insecure.begin(), insecure.end(), domain) == insecure.end();
  out.official = domain == kHub;
  return out;
}

}  // namespace

Result<registry::Settings> registry_settings(const EngineOptions& options) {
  POUCH_ASSIGN_OR_RETURN(registry::Settings settings, registry::load_settings(options.registries_file));
  POUCH_RETURN_IF_ERROR(
      registry::add_settings(settings, options.registry_mirrors, options.insecure_registries));
  settings.run_helper = run_credential_helper;
  return settings;
}

void describe_registries(const registry::Settings& settings, api::SystemInfo& out) {
  api::RegistryServiceConfig config;
  std::vector<std::string> networks{"::1/128", "127.0.0.0/8"};
  std::map<std::string, api::IndexInfo> indexes;
  indexes[kHub] = index_of(settings, kHub);
  for (const auto& [domain, urls] : settings.mirrors) indexes[domain] = index_of(settings, domain);
  for (const std::string& entry : settings.insecure) {
    if (is_network(entry)) {
      networks.push_back(entry);
    } else {
      indexes[entry] = index_of(settings, entry);
    }
  }
  config.insecure_registry_cidrs = std::move(networks);
  config.index_configs = std::move(indexes);
  config.mirrors = mirrors_of(settings, kHub);
  out.registry_config = std::move(config);
  const registry::Proxies proxies = registry::proxies_of(settings);
  out.http_proxy = registry::without_account(proxies.http);
  out.https_proxy = registry::without_account(proxies.https);
  out.no_proxy = proxies.none;
}

RegistryAccess::FileState RegistryAccess::look() const {
  struct stat info {};
  if (::stat(options_.registries_file.c_str(), &info) != 0) return {};
  return {info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

Result<std::shared_ptr<registry::Client>> RegistryAccess::client() {
  const std::lock_guard lock(mutex_);
  // Looked at before it is read: what changes in between is seen the next time.
  const FileState now = look();
  if (client_ && now == seen_) return client_;
  POUCH_ASSIGN_OR_RETURN(registry::Settings settings, registry_settings(options_));
  client_ = std::make_shared<registry::Client>(std::move(settings));
  seen_ = now;
  return client_;
}

}  // namespace pouch::image
