#include "pouch/account.h"

#include <optional>

#include "capi/src/handle.h"
#include "core/api/common.gen.h"
#include "core/base/text.h"
#ifdef POUCH_HAVE_EMBED
#include "core/engine/accounts.h"
#endif

namespace pouch::capi {
namespace {

Result<std::string> registry_name(const char *registry) {
  if (registry == nullptr || *registry == '\0') return invalid_argument("registry: it is required");
  if (!is_valid_utf8(registry)) return invalid_argument("registry: it is no UTF-8");
  return std::string(registry);
}

#ifndef POUCH_HAVE_EMBED
Status not_here() {
  return not_implemented("accounts: this build of the library does not keep them");
}

Result<std::optional<api::AuthConfig>> find_account(const std::string &) {
  return not_here();
}

Status store_account(const Call &, const std::string &, const api::AuthConfig &) {
  return not_here();
}

Result<bool> erase_account(const Call &, const std::string &) {
  return not_here();
}
#endif

Status find(const char *registry, pouch_buf_t *account_json) {
  POUCH_ASSIGN_OR_RETURN(const std::string name, registry_name(registry));
  POUCH_ASSIGN_OR_RETURN(const std::optional<api::AuthConfig> account, find_account(name));
  if (!account) return not_found("there is no account for " + quote(name));
  return fill_buffer(api::to_json_text(*account), account_json);
}

Status store(const char *registry, const char *account_json, const pouch_call_t *call) {
  POUCH_ASSIGN_OR_RETURN(const std::string name, registry_name(registry));
  POUCH_ASSIGN_OR_RETURN(const Json document, parse_argument(account_json, "account"));
  POUCH_ASSIGN_OR_RETURN(const api::AuthConfig account,
                         api::from_json<api::AuthConfig>(document, api::DecodeMode::kStrict));
  CallScope scope;
  POUCH_RETURN_IF_ERROR(scope.begin(std::make_shared<CancelToken>(), call));
  return store_account(scope.call(), name, account);
}

Status erase(const char *registry, const pouch_call_t *call) {
  POUCH_ASSIGN_OR_RETURN(const std::string name, registry_name(registry));
  CallScope scope;
  POUCH_RETURN_IF_ERROR(scope.begin(std::make_shared<CancelToken>(), call));
  POUCH_ASSIGN_OR_RETURN(const bool was_there, erase_account(scope.call(), name));
  return was_there ? Status() : not_found("there is no account for " + quote(name));
}

}  // namespace
}  // namespace pouch::capi

pouch_status_t pouch_account_find(const char *registry, pouch_buf_t *account_json, pouch_error_t **error) {
  if (account_json != nullptr) *account_json = POUCH_BUF_INIT;
  return pouch::capi::guarded(error, [&] { return pouch::capi::find(registry, account_json); });
}

pouch_status_t pouch_account_store(const char *registry, const char *account_json, const pouch_call_t *call,
                                   pouch_error_t **error) {
  return pouch::capi::guarded(error, [&] { return pouch::capi::store(registry, account_json, call); });
}

pouch_status_t pouch_account_erase(const char *registry, const pouch_call_t *call, pouch_error_t **error) {
  return pouch::capi::guarded(error, [&] { return pouch::capi::erase(registry, call); });
}
