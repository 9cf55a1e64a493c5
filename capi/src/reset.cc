#include "capi/src/engine_factory.h"
#include "capi/src/handle.h"
#include "core/base/text.h"
#ifdef POUCH_HAVE_EMBED
#include "core/engine/embed_uri.h"
#include "core/engine/reset.h"
#endif

namespace pouch::capi {
namespace {

#ifdef POUCH_HAVE_EMBED
Result<Json> reset_embedded(const std::string &uri, bool in_use, bool force, const Call &call) {
  POUCH_ASSIGN_OR_RETURN(const EngineOptions options, parse_embed_uri(uri));
  POUCH_ASSIGN_OR_RETURN(const ResetReport report, reset_root(options, {in_use, force}, call));
  Json out = json_object();
  out["RootId"] = report.root_id;
  out["Root"] = report.root_dir;
  out["Containers"] = Json::Int64(report.containers);
  out["Images"] = Json::Int64(report.images);
  return out;
}
#endif

Result<Json> reset_at(const std::string &uri, bool in_use, bool force, const Call &call) {
#ifdef POUCH_HAVE_EMBED
  if (uri.starts_with("embed://")) return reset_embedded(uri, in_use, force, call);
#else
  static_cast<void>(in_use), static_cast<void>(force), static_cast<void>(call);
#endif
  return not_implemented("reset " + quote(uri) +
                         ": only a root of this host can be, by its folder (embed:///var/lib/pouch), once "
                         "the pouchd that serves it has ended");
}

// The flags that are set; others are told.
Status parse_options(const char *options_json, bool &in_use, bool &force) {
  POUCH_ASSIGN_OR_RETURN(const Json options, parse_argument(options_json, "options"));
  for (const std::string &name : options.getMemberNames()) {
    if (name != "InUse" && name != "Force")
      return invalid_argument("pouch_reset has no option " + quote(name));
    if (!options[name].isBool()) return invalid_argument(name + ": expected true or false");
    (name == "InUse" ? in_use : force) = options[name].asBool();
  }
  return {};
}

Status reset(const char *uri, const char *options_json, const pouch_call_t *call, pouch_buf_t *result_json) {
  if (uri == nullptr || *uri == '\0') {
    return invalid_argument("pouch_reset removes what it is given; it has no default address");
  }
  bool in_use = false;
  bool force = false;
  POUCH_RETURN_IF_ERROR(parse_options(options_json, in_use, force));
  POUCH_RETURN_IF_ERROR(start_environment_log());
  CallScope scope;
  POUCH_RETURN_IF_ERROR(scope.begin(std::make_shared<CancelToken>(), call));
  POUCH_ASSIGN_OR_RETURN(const std::string resolved, resolve_uri(uri));
  POUCH_ASSIGN_OR_RETURN(const Json report, reset_at(resolved, in_use, force, scope.call()));
  return fill_buffer(write_json(report), result_json);
}

}  // namespace
}  // namespace pouch::capi

pouch_status_t pouch_reset(const char *uri, const char *options_json, const pouch_call_t *call,
                           pouch_buf_t *result_json, pouch_error_t **error) {
  if (result_json != nullptr) *result_json = POUCH_BUF_INIT;
  return pouch::capi::guarded(error,
                              [&] { return pouch::capi::reset(uri, options_json, call, result_json); });
}
