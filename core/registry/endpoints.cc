#include "core/registry/endpoints.h"

#include <optional>
#include <utility>

#include "core/base/text.h"
#include "core/registry/transport.h"

namespace pouch::registry {
namespace {

constexpr const char* kHub = "docker.io";
constexpr const char* kHubHost = "registry-1.docker.io";

Result<Endpoint> mirror(const std::string& text) {
  std::optional<Url> url = parse_url(text);
  if (!url)
    return invalid_argument("mirror " + quote(without_account(text)) + ": it is no http or https URL");
  if (url->target.find('?') != std::string::npos)
    return invalid_argument("mirror " + quote(without_account(text)) + ": it has a query");
  while (url->target.ends_with("/")) url->target.pop_back();
  return Endpoint{std::move(*url), /*is_mirror=*/true};
}

}  // namespace

Result<std::vector<Endpoint>> endpoints_of(const Settings& settings, const std::string& domain) {
  std::vector<Endpoint> out;
  if (const auto mirrors = settings.mirrors.find(domain); mirrors != settings.mirrors.end()) {
    for (const std::string& url : mirrors->second) {
      POUCH_ASSIGN_OR_RETURN(Endpoint endpoint, mirror(url));
      out.push_back(std::move(endpoint));
    }
  }
  const std::string host = domain == kHub ? kHubHost : domain;
  const std::optional<Url> url = parse_url("https://" + host);
  if (!url || !url->target.empty()) return invalid_argument("registry " + quote(domain) + ": it is no host");
  out.push_back({*url});
  if (is_insecure(host, settings.insecure)) out.push_back({{"http", url->host, ""}});
  return out;
}

}  // namespace pouch::registry
