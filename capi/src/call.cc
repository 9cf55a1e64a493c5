#include <vector>

#include "capi/src/handle.h"
#include "core/api/op.h"
#include "core/base/id.h"
#include "core/base/text.h"

namespace pouch::capi {

Status CallScope::begin(const CancelPtr &closing, const pouch_call_t *options) {
  POUCH_ASSIGN_OR_RETURN(const pouch_call_t given,
                         read_struct<pouch_call_t>(options, POUCH_CALL_INIT, "call"));
  if (given.flags != 0) return invalid_argument("call.flags must be 0");
  if (closing->is_fired()) return {Code::kClosed, "the client was closed"};
  if (given.deadline_ms > 0) call_.deadline = Deadline::after_ms(given.deadline_ms);
  if (given.deadline_ms < 0) call_.deadline = Deadline::at_boot_ns(0);  // passed before it began
  call_.request_id = given.request_id != nullptr ? given.request_id : random_hex(8);
  closing_ = closing;
  if (given.cancel == nullptr) {
    call_.cancel = closing_;
    return {};
  }
  POUCH_RETURN_IF_ERROR(check_handle(given.cancel, "call.cancel"));
  user_ = given.cancel->token;
  call_.cancel = std::make_shared<CancelToken>();
  const auto pass_on = [token = call_.cancel] { token->fire(); };
  user_id_ = user_->add(pass_on);
  closing_id_ = closing_->add(pass_on);
  return call_.check();
}

CallScope::~CallScope() {
  if (!user_) return;
  user_->remove(user_id_);
  closing_->remove(closing_id_);
}

Status CallScope::explain(Status status) const {
  if (status.code() != Code::kCancelled || !closing_->is_fired()) return status;
  return {Code::kClosed, "the client was closed during the call"};
}

Result<Json> parse_argument(const char *text, std::string_view what) {
  if (text == nullptr) return Json();
  Result<Json> parsed = parse_json(text);
  if (!parsed.is_ok()) return parsed.status().prefix(what);
  if (!parsed->isNull() && !parsed->isObject()) {
    return invalid_argument(std::string(what) + ": expected an object");
  }
  return parsed;
}

namespace {

/// Everything of a generic call, in the engine's terms.
struct Prepared {
  const api::OpInfo *op = nullptr;
  std::vector<std::string> ids;
  Json config;
  Json options;
  CallScope scope;

  api::OpArgs args() const { return {ids, &config, &options, api::DecodeMode::kStrict}; }
};

struct Arguments {
  const char *op;
  const char *const *ids;
  size_t id_count;
  const char *config_json;
  const char *options_json;
  const pouch_call_t *call;
};

Status prepare(const pouch_client_t &client, const Arguments &from, Prepared &to) {
  if (from.op == nullptr) return invalid_argument("op must not be NULL");
  to.op = api::find_operation(from.op);
  if (to.op == nullptr) return invalid_argument("there is no operation " + quote(from.op));
  if (from.id_count > 0 && from.ids == nullptr) return invalid_argument("ids must not be NULL");
  for (size_t i = 0; i < from.id_count; ++i) {
    if (from.ids[i] == nullptr) return invalid_argument(std::string(from.op) + ": an id must not be NULL");
    to.ids.emplace_back(from.ids[i]);
  }
  POUCH_ASSIGN_OR_RETURN(to.config, parse_argument(from.config_json, "config"));
  POUCH_ASSIGN_OR_RETURN(to.options, parse_argument(from.options_json, "options"));
  if (to.op->options.empty() && !to.options.empty()) {
    return invalid_argument(std::string(from.op) + " has no options, got " +
                            quote(to.options.getMemberNames().front()));
  }
  return to.scope.begin(client, from.call);
}

}  // namespace
}  // namespace pouch::capi

using pouch::Result;
using pouch::Status;

pouch_status_t pouch_call(pouch_client_t *client, const char *op, const char *const *ids, size_t id_count,
                          const char *config_json, const char *options_json, const pouch_call_t *call,
                          pouch_buf_t *result_json, pouch_error_t **error) {
  if (result_json != nullptr) *result_json = POUCH_BUF_INIT;
  return pouch::capi::guarded(error, [&]() -> Status {
    POUCH_RETURN_IF_ERROR(pouch::capi::check_handle(client, "client"));
    pouch::capi::Prepared prepared;
    POUCH_RETURN_IF_ERROR(
        pouch::capi::prepare(*client, {op, ids, id_count, config_json, options_json, call}, prepared));
    const Result<pouch::Json> result =
        pouch::api::call_operation(*client->engine, *prepared.op, prepared.args(), prepared.scope.call());
    if (!result.is_ok()) return prepared.scope.explain(result.status());
    if (result->isNull() || result_json == nullptr) return {};
    return pouch::capi::fill_buffer(pouch::write_json(*result), result_json);
  });
}

pouch_status_t pouch_open(pouch_client_t *client, const char *op, const char *const *ids, size_t id_count,
                          const char *config_json, const char *options_json, const pouch_call_t *call,
                          pouch_stream_t **out, pouch_error_t **error) {
  if (out != nullptr) *out = nullptr;
  return pouch::capi::guarded(error, [&]() -> Status {
    POUCH_RETURN_IF_ERROR(pouch::capi::check_handle(client, "client"));
    if (out == nullptr) return pouch::invalid_argument("out must not be NULL");
    pouch::capi::Prepared prepared;
    POUCH_RETURN_IF_ERROR(
        pouch::capi::prepare(*client, {op, ids, id_count, config_json, options_json, call}, prepared));
    Result<pouch::StreamPtr> stream =
        pouch::api::open_operation(*client->engine, *prepared.op, prepared.args(), prepared.scope.call());
    if (!stream.is_ok()) return prepared.scope.explain(stream.status());
    *out = pouch::capi::wrap_stream(std::move(*stream), client).release();
    return {};
  });
}
