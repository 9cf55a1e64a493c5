#include "core/api/check.h"
#include "capi/src/engine_factory.h"
#include "capi/src/handle.h"
#include "core/base/text.h"
#ifdef POUCH_HAVE_EMBED
#include "core/engine/check.h"
#include "core/engine/embed_uri.h"
#endif

namespace pouch::capi {
namespace {

bool is_remote(std::string_view scheme) {
  return scheme == "unix" || scheme == "tcp" || scheme == "http";
}

bool is_given_up(Code code) {
  return code == Code::kCancelled || code == Code::kDeadlineExceeded;
}

// What a remote engine says of itself, after the way to it.
Result<api::CheckReport> check_remote(Engine &engine, const std::string &uri, const Call &call) {
  Result<api::CheckReport> there = engine.system_check(call);
  if (is_given_up(there.code())) return there;
  if (there.code() == Code::kNotImplemented) {
    return api::make_report(
        {findings::fine(findings::kSocket, "what answers at " + quote(uri) +
                                               " is no pouchd, or an older one, and checks nothing itself")});
  }
  if (!there.is_ok()) return api::make_report({finding_of(there.status(), findings::kSocket)});
  const Finding way = findings::fine(findings::kSocket, "a pouchd answers at " + quote(uri));
  there->findings.insert(there->findings.begin(), api::to_document(way));
  return there;
}

Result<api::CheckReport> report_at(const std::string &uri, const Call &call) {
  const std::string scheme = uri.substr(0, uri.find("://"));
#ifdef POUCH_HAVE_EMBED
  if (scheme == "embed") {
    POUCH_ASSIGN_OR_RETURN(const EngineOptions options, parse_embed_uri(uri));
    return check_engine(options, call);
  }
#endif
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<Engine> engine, open_engine(uri));
  return is_remote(scheme) ? check_remote(*engine, uri, call) : engine->system_check(call);
}

Status check(const char *uri, const char *options_json, const pouch_call_t *call, pouch_buf_t *result_json) {
  POUCH_ASSIGN_OR_RETURN(const Json options, parse_argument(options_json, "options"));
  if (!options.empty()) {
    return invalid_argument("pouch_check has no options, got " + quote(options.getMemberNames().front()));
  }
  POUCH_RETURN_IF_ERROR(start_environment_log());
  CallScope scope;
  POUCH_RETURN_IF_ERROR(scope.begin(std::make_shared<CancelToken>(), call));
  POUCH_RETURN_IF_ERROR(scope.call().check());
  POUCH_ASSIGN_OR_RETURN(const std::string resolved, resolve_uri(uri == nullptr ? "" : uri));
  POUCH_ASSIGN_OR_RETURN(const api::CheckReport report, report_at(resolved, scope.call()));
  return fill_buffer(api::to_json_text(report), result_json);
}

}  // namespace
}  // namespace pouch::capi

pouch_status_t pouch_check(const char *uri, const char *options_json, const pouch_call_t *call,
                           pouch_buf_t *result_json, pouch_error_t **error) {
  if (result_json != nullptr) *result_json = POUCH_BUF_INIT;
  return pouch::capi::guarded(error,
                              [&] { return pouch::capi::check(uri, options_json, call, result_json); });
}
