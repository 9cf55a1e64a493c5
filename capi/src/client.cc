#include "pouch/client.h"

#include "capi/src/engine_factory.h"
#include "capi/src/handle.h"
#include "core/api/op.h"
#include "core/base/log.h"

using pouch::Status;

namespace {

constexpr int64_t kSessionMs = 15'000;

Status check_options(const pouch_client_options_t &options) {
  if (options.api_version == 0 || options.api_version > POUCH_API_VERSION) {
    return pouch::not_implemented("client options: api_version " + std::to_string(options.api_version) +
                                  " is not known to libpouch " POUCH_VERSION ", which knows 1 to " +
                                  std::to_string(POUCH_API_VERSION));
  }
  if (options.log_level > POUCH_LOG_TRACE) {
    return pouch::invalid_argument("client options: log_level " + std::to_string(options.log_level) +
                                   " is none; the highest is " + std::to_string(POUCH_LOG_TRACE));
  }
  if (options.flags != 0) return pouch::invalid_argument("client options: flags must be 0");
  if (options.session > 1) return pouch::invalid_argument("client options: session must be 0 or 1");
  return {};
}

// The first message names the session.
Status open_session(pouch_client_t &client) {
  const pouch::Call call{pouch::Deadline::after_ms(kSessionMs), nullptr, {}};
  POUCH_ASSIGN_OR_RETURN(pouch::StreamPtr stream, client.engine->system_session(call));
  pouch::Frame frame;
  POUCH_ASSIGN_OR_RETURN(const pouch::Next next, stream->next(&frame, call.deadline));
  if (next != pouch::Next::kFrame)
    return pouch::unavailable("open a session: the engine tells no id in time");
  POUCH_ASSIGN_OR_RETURN(const auto message,
                         pouch::api::parse_document<pouch::api::SessionMessage>(frame.data));
  client.session = message.id;
  client.session_end = std::move(stream);
  return {};
}

Status open_engine(pouch_client_t &client, bool with_session) {
  POUCH_ASSIGN_OR_RETURN(client.engine, pouch::capi::open_engine(client.uri));
  return with_session ? open_session(client) : Status();
}

Status open_client(const char *uri, const pouch_client_options_t *given, pouch_client_t **out) {
  if (out == nullptr) return pouch::invalid_argument("out must not be NULL");
  POUCH_ASSIGN_OR_RETURN(
      const pouch_client_options_t options,
      pouch::capi::read_struct<pouch_client_options_t>(given, POUCH_CLIENT_OPTIONS_INIT, "client options"));
  POUCH_RETURN_IF_ERROR(check_options(options));
  POUCH_RETURN_IF_ERROR(pouch::capi::start_environment_log());
  auto client = std::make_unique<pouch_client_t>();
  POUCH_ASSIGN_OR_RETURN(client->uri, pouch::capi::resolve_uri(uri == nullptr ? "" : uri));
  if (options.log_level != 0) client->log_sink = pouch::capi::add_stderr_log(options.log_level);
  if (Status opened = open_engine(*client, options.session != 0); !opened.is_ok()) {
    if (client->log_sink != 0) pouch::remove_log_sink(client->log_sink);
    return opened;
  }
  *out = client.release();
  return {};
}

}  // namespace

pouch_status_t pouch_client_open(const char *uri, const pouch_client_options_t *options, pouch_client_t **out,
                                 pouch_error_t **error) {
  if (out != nullptr) *out = nullptr;
  return pouch::capi::guarded(error, [&] { return open_client(uri, options, out); });
}

void pouch_client_close(pouch_client_t *client) {
  if (client == nullptr || client->pid != ::getpid()) return;
  pouch::capi::guarded_void([&] {
    client->closing->fire();
    if (client->session_end) client->session_end->cancel();
  });
}

void pouch_client_free(pouch_client_t *client) {
  if (client == nullptr || client->pid != ::getpid()) return;
  pouch_client_close(client);
  pouch::capi::guarded_void([&] {
    const std::unique_ptr<pouch_client_t> owned(client);
    if (owned->log_sink != 0) pouch::remove_log_sink(owned->log_sink);
  });
}

const char *pouch_client_uri(const pouch_client_t *client) {
  return client == nullptr ? "" : client->uri.c_str();
}

int32_t pouch_client_supports(const pouch_client_t *client, const char *op) {
  if (op == nullptr || !pouch::capi::check_handle(client, "client").is_ok()) return 0;
  return pouch::api::find_operation(op) != nullptr ? 1 : 0;
}
