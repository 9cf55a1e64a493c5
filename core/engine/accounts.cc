#include "core/engine/accounts.h"

#include "core/image/credential_helper.h"
#include "core/image/credentials.h"
#include "core/registry/client.h"

namespace pouch {
namespace {

registry::Client host_client() {
  registry::Settings settings;
  settings.run_helper = image::run_credential_helper;
  return registry::Client(std::move(settings));
}

void set_if_any(std::optional<std::string>& field, const std::string& value) {
  if (!value.empty()) field = value;
}

}  // namespace

Result<std::optional<api::AuthConfig>> find_account(const std::string& registry) {
  POUCH_ASSIGN_OR_RETURN(const std::optional<registry::Credentials> found,
                         host_client().find_account(registry));
  if (!found) return std::optional<api::AuthConfig>();
  api::AuthConfig out;
  set_if_any(out.username, found->username);
  set_if_any(out.password, found->password);
  set_if_any(out.identitytoken, found->identity_token);
  set_if_any(out.registrytoken, found->registry_token);
  out.serveraddress = registry;
  return std::optional<api::AuthConfig>(std::move(out));
}

Status store_account(const Call& call, const std::string& registry, const api::AuthConfig& account) {
  POUCH_ASSIGN_OR_RETURN(const std::optional<registry::Credentials> credentials,
                         image::credentials_of(account));
  if (!credentials) return invalid_argument("store an account: it is empty");
  return host_client().store_account(call, registry, *credentials);
}

Result<bool> erase_account(const Call& call, const std::string& registry) {
  return host_client().erase_account(call, registry);
}

}  // namespace pouch
