#include "core/registry/settings_file.h"

#include <utility>

#include "core/api/json.h"
#include "core/base/text.h"
#include "core/registry/docker_config.h"
#include "core/registry/endpoints.h"
#include "core/registry/network_address.h"
#include "core/registry/text_file.h"
#include "core/registry/url.h"

namespace pouch::registry {
namespace {

constexpr const char* kHub = "docker.io";

Status wrong(const std::string& key, std::string_view expected) {
  return invalid_argument(key + ": expected " + std::string(expected));
}

Result<std::vector<std::string>> list_of(const std::string& key, const Json& value) {
  std::vector<std::string> out;
  if (!value.isArray()) return wrong(key, "a list of strings");
  for (const Json& element : value) {
    if (!element.isString()) return wrong(key, "a list of strings");
    out.push_back(element.asString());
  }
  return out;
}

void append(std::vector<std::string>& list, const std::vector<std::string>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

Status read_mirrors(const std::string& key, const Json& value, Settings& out) {
  if (!value.isObject()) return wrong(key, "an object of lists of strings");
  for (auto at = value.begin(); at != value.end(); ++at) {
    POUCH_ASSIGN_OR_RETURN(const auto urls, list_of(key + "." + at.name(), *at));
    append(out.mirrors[domain_of_key(at.name())], urls);
  }
  return {};
}

Status read_text(const std::string& key, const Json& value, std::optional<std::string>& out) {
  if (!value.isString()) return wrong(key, "a string");
  out = value.asString();
  return {};
}

Status read_list(const std::string& key, const Json& value, std::vector<std::string>& out) {
  POUCH_ASSIGN_OR_RETURN(out, list_of(key, value));
  return {};
}

Status read_key(const std::string& key, const Json& value, Settings& out) {
  if (key == "registry-mirrors") {
    POUCH_ASSIGN_OR_RETURN(const auto urls, list_of(key, value));
    append(out.mirrors[kHub], urls);
    return {};
  }
  if (key == "mirrors") return read_mirrors(key, value, out);
  if (key == "insecure-registries") return read_list(key, value, out.insecure);
  if (key == "certs-dirs") return read_list(key, value, out.certs_dirs);
  if (key == "http-proxy") return read_text(key, value, out.http_proxy);
  if (key == "https-proxy") return read_text(key, value, out.https_proxy);
  if (key == "no-proxy") return read_text(key, value, out.no_proxy);
  return invalid_argument("unknown key " + quote(key));
}

bool is_cidr(const std::string& text) {
  const auto address = parse_address(text.substr(0, text.find('/')));
  return address && is_within(*address, text);
}

Status check(const Settings& settings) {
  for (const auto& [domain, urls] : settings.mirrors) {
    POUCH_RETURN_IF_ERROR(endpoints_of(settings, domain).status());
  }
  for (const std::string& entry : settings.insecure) {
    const auto url = parse_url("https://" + entry);
    const bool is_host = url && url->target.empty();
    if (!is_host && !is_cidr(entry)) {
      return invalid_argument("insecure registry " + quote(entry) +
                              ": it is neither a host, nor host:port, nor a CIDR");
    }
  }
  return {};
}

}  // namespace

Result<Settings> parse_settings(std::string_view json) {
  Settings out;
  if (trim(json).empty()) return out;
  POUCH_ASSIGN_OR_RETURN(const Json root, parse_json(json));
  if (!root.isObject()) return invalid_argument("it is not an object");
  for (auto at = root.begin(); at != root.end(); ++at) {
    POUCH_RETURN_IF_ERROR(read_key(at.name(), *at, out));
  }
  POUCH_RETURN_IF_ERROR(check(out));
  return out;
}

Result<Settings> load_settings(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  auto settings = parse_settings(text);
  if (!settings.is_ok()) return settings.status().prefix("registries file " + quote(path));
  return settings;
}

Status add_settings(Settings& settings, const std::vector<std::string>& hub_mirrors,
                    const std::vector<std::string>& insecure) {
  if (!hub_mirrors.empty()) append(settings.mirrors[kHub], hub_mirrors);
  append(settings.insecure, insecure);
  return check(settings);
}

}  // namespace pouch::registry
