#include "core/image/credentials.h"

#include <string>
#include <utility>

#include "core/base/base64.h"

namespace pouch::image {

Result<std::optional<registry::Credentials>> credentials_of(const std::optional<api::AuthConfig>& auth) {
  if (!auth) return std::optional<registry::Credentials>();
  registry::Credentials out;
  out.username = auth->username.value_or("");
  out.password = auth->password.value_or("");
  out.identity_token = auth->identitytoken.value_or("");
  out.registry_token = auth->registrytoken.value_or("");
  if (const std::string both = auth->auth.value_or(""); !both.empty() && out.username.empty()) {
    const std::string text = base64_decode(both).value_or("");
    const size_t colon = text.find(':');
    if (colon == std::string::npos)
      return invalid_argument("auth.auth: expected username:password in base64");
    out.username = text.substr(0, colon);
    out.password = text.substr(colon + 1);
  }
  return out.is_empty() ? std::optional<registry::Credentials>() : std::optional(std::move(out));
}

}  // namespace pouch::image
