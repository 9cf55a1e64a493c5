#include "daemon/http/api_handler.h"

#include <array>
#include <exception>
#include <optional>
#include <utility>

#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/io/stdcopy.h"
#include "daemon/bridge/bridge.h"
#include "daemon/http/query.h"
#include "daemon/http/router.h"
#include "daemon/http/wire.h"

namespace pouch::http {
namespace {

constexpr size_t kMaxRequestId = 64;
constexpr size_t kEmptyBody = 7;  // bytes, Moby's own measure

Headers common_headers() {
  return {{"Api-Version", bridge::version_text(bridge::kMaxMinor)},
          {"Docker-Experimental", "false"},
          {"Ostype", "linux"},
          {"Pouch-Version", POUCH_VERSION},
          {"Server", "Pouch/" POUCH_VERSION " (linux)"},
          {"Date", http_date()}};
}

std::string request_id(const RequestHead& head) {
  const std::string_view id = head.header("Pouch-Request-Id");
  const bool is_plain =
      id.size() <= kMaxRequestId &&
      id.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:") ==
          std::string_view::npos;
  return is_plain ? std::string(id) : std::string();
}

Result<std::string> session_id(const RequestHead& head) {
  const std::string_view id = head.header("Pouch-Session");
  if (id.empty() || (id.size() <= kMaxRequestId && is_hex(id))) return std::string(id);
  return invalid_argument("header Pouch-Session: " + quote(id) + " is no session's id");
}

bool is_json_type(std::string_view type) {
  return equals_ignore_case(trim(type.substr(0, type.find(';'))), "application/json");
}

bool is_set(const Json& document, const char* name) {
  return document.isObject() && document[name].isBool() && document[name].asBool();
}

StreamForm stream_form(const api::OpInfo& op, bool terminal) {
  if (op.frames == api::OpFrames::kMessages) return StreamForm::kLines;
  if (op.frames == api::OpFrames::kStdio && !terminal) return StreamForm::kMux;
  return StreamForm::kRaw;
}

}  // namespace

struct ApiHandler::Request {
  const api::OpInfo* op = nullptr;
  std::vector<std::string> ids;
  int minor = bridge::kMaxMinor;
  bool is_strict = false;
  bool wants_raw = false;  ///< the output of an exec, on Moby's wire
  Json options = json_object();
  Json config;
  Call call;

  api::OpArgs args() const {
    return {.ids = ids,
            .config = &config,
            .options = &options,
            .mode = is_strict ? api::DecodeMode::kStrict : api::DecodeMode::kLenient};
  }
};

void ApiHandler::serve(Exchange& exchange) {
  Request request;
  try {
    exchange.set_common_headers(common_headers());
    request.call.cancel = std::make_shared<CancelToken>();
    request.call.request_id = request_id(exchange.head());
    if (request.call.request_id.empty()) request.call.request_id = random_hex(8);
    const LogScoped scoped({{}, {}, request.call.request_id});
    log_debug("http", exchange.head().method + " " + quote(exchange.head().target));
    if (exchange.head().method == "OPTIONS") {
      exchange.respond({}).ignore();
      return;
    }
    if (const Status status = prepare(exchange, request); !status.is_ok()) {
      respond_error(exchange, request, status).ignore();
      return;
    }
    dispatch(exchange, request);
  } catch (const std::exception& error) {  // a module broke its word; the other requests go on
    log_error("http", std::string("unexpected exception: ") + error.what());
    const Status status = internal_error(std::string("unexpected exception: ") + error.what());
    if (!exchange.is_answered()) respond_error(exchange, request, status).ignore();
    exchange.give_up();
  }
}

Status ApiHandler::prepare(Exchange& exchange, Request& request) {
  const RequestHead& head = exchange.head();
  request.is_strict = head.header("Pouch-Strict") == "1";
  POUCH_ASSIGN_OR_RETURN(request.call.session, session_id(head));
  Target target = parse_target(head.target);
  if (!target.version.empty()) {
    POUCH_ASSIGN_OR_RETURN(request.minor, bridge::check_version(target.version));
  }
  if (!request.is_strict) bridge::apply_aliases(head.method, target.path, target.query);
  Route route = find_route(head.method, target.path);
  if (route.op == nullptr) return bridge::unserved(head.method, target.path);
  request.op = route.op;
  request.ids = std::move(route.ids);
  POUCH_ASSIGN_OR_RETURN(const QueryItems query, parse_query(target.query));
  POUCH_ASSIGN_OR_RETURN(request.options, options_from_query(*request.op, query, request.is_strict));
  POUCH_RETURN_IF_ERROR(add_options_from_headers(*request.op, head, request.is_strict, request.options));
  POUCH_RETURN_IF_ERROR(read_config(exchange, request));
  if (request.is_strict) return {};
  return bridge::normalise_request(*request.op, request.minor, query, request.options, request.config);
}

Status ApiHandler::read_config(Exchange& exchange, Request& request) {
  const api::OpInfo& op = *request.op;
  if (op.kind == api::OpKind::kUpload) return {};
  if (op.kind == api::OpKind::kDuplex && !op.has_config) return {};  // what follows is for the stream
  POUCH_ASSIGN_OR_RETURN(const std::string body, exchange.read_body(exchange.limits().json_body_bytes));
  if (!op.has_config) {
    // Up to 1.23 a start brought a HostConfig; what Moby's later clients send is "{}" or "null" at most.
    if (!body.empty() && (request.is_strict || (op.name == "container.start" && body.size() > kEmptyBody))) {
      return invalid_argument(std::string(op.name) + ": takes no config document");
    }
    return {};
  }
  if (body.empty()) {
    if (op.config_required) return invalid_argument("invalid JSON: got EOF while reading request body");
    return {};
  }
  if (!is_json_type(exchange.head().header("Content-Type"))) {
    return invalid_argument("unsupported Content-Type header (" +
                            std::string(exchange.head().header("Content-Type")) +
                            "): must be 'application/json'");
  }
  POUCH_ASSIGN_OR_RETURN(request.config, parse_json(body));
  return {};
}

void ApiHandler::dispatch(Exchange& exchange, Request& request) {
  if (request.op->wire == "ping") return serve_ping(exchange, request);
  if (request.op->kind == api::OpKind::kUnary) return serve_unary(exchange, request);
  serve_stream(exchange, request);
}

Status ApiHandler::respond_error(Exchange& exchange, const Request& request, const Status& error) {
  log_debug("http", exchange.head().method + " " + quote(exchange.head().target) + ": " + error.to_string());
  if (error.code() == Code::kNotModified) return exchange.respond({.status = 304, .headers = {}, .body = {}});
  if (request.is_strict)
    return exchange.respond(json_response(http_status(error.code()), error_document(error)));
  const bridge::ErrorAnswer answer =
      bridge::shape_error(request.op, request.minor, request.ids, request.config, error);
  Json document = json_object();
  document["message"] = answer.message;
  return exchange.respond(json_response(answer.http_status, write_json(document)));
}

void ApiHandler::serve_ping(Exchange& exchange, const Request& request) {
  const Result<Json> info = api::call_operation(engine_, *request.op, request.args(), request.call);
  if (!info.is_ok()) return respond_error(exchange, request, info.status()).ignore();
  Response response;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"},
                      {"Cache-Control", "no-cache, no-store, must-revalidate"},
                      {"Pragma", "no-cache"}};
  if (info->isMember("BuilderVersion")) {
    response.headers.emplace_back("Builder-Version", (*info)["BuilderVersion"].asString());
  }
  if (info->isMember("SwarmStatus"))
    response.headers.emplace_back("Swarm", (*info)["SwarmStatus"].asString());
  if (exchange.head().method != "HEAD") response.body = "OK";
  exchange.respond(response).ignore();
}

void ApiHandler::serve_unary(Exchange& exchange, Request& request) {
  Result<Json> result = Json();
  {
    const DisconnectWatch::Guard guard(watch_, exchange.connection().fd(), request.call.cancel);
    result = api::call_operation(engine_, *request.op, request.args(), request.call);
  }
  if (!result.is_ok()) return respond_error(exchange, request, result.status()).ignore();
  Response response;
  if (request.op->has_result) {
    if (!request.is_strict) bridge::shape_response(*request.op, request.minor, *result);
    response = json_response(request.op->success_status, write_json(*result));
  } else {
    response.status = request.op->success_status;
  }
  exchange.respond(response).ignore();
}

// Raw or multiplexed: only Moby's clients care, strict ones always get the latter.
Result<bool> ApiHandler::has_terminal(const Request& request) {
  if (request.is_strict || request.op->frames != api::OpFrames::kStdio) return false;
  if (request.op->has_config) return is_set(request.config, "Tty");
  POUCH_ASSIGN_OR_RETURN(const Json container, inspect("container.inspect", request.ids[0], request.call));
  return is_set(container["Config"], "Tty");
}

void ApiHandler::serve_stream(Exchange& exchange, Request& request) {
  if (begins_before_exec(request)) return serve_exec(exchange, request);
  StreamPtr stream;
  bool terminal = false;
  {
    // What the client has for the operation may all be sent already.
    const auto kind = request.op->kind == api::OpKind::kStream ? DisconnectWatch::Kind::kClient
                                                               : DisconnectWatch::Kind::kHalfClosing;
    const DisconnectWatch::Guard guard(watch_, exchange.connection().fd(), request.call.cancel, kind);
    const Result<bool> is_terminal = has_terminal(request);
    if (!is_terminal.is_ok()) return respond_error(exchange, request, is_terminal.status()).ignore();
    terminal = *is_terminal;
    Result<StreamPtr> opened = api::open_operation(engine_, *request.op, request.args(), request.call);
    if (!opened.is_ok()) return respond_error(exchange, request, opened.status()).ignore();
    stream = std::move(*opened);
  }
  if (!request.is_strict && is_set(request.config, "Detach"))
    return serve_detached(exchange, request, *stream);
  if (request.op->name == "system.session") return serve_session(exchange, request, *stream);
  StreamPump(exchange, *stream, pump_options(exchange, request, terminal)).run(request.call);
}

// The session ends with its client's process, too: a child of fork() would keep the connection open.
void ApiHandler::serve_session(Exchange& exchange, Request& request, Stream& stream) {
  const UniqueFd process = exchange.connection().peer_process();
  const auto gone = std::make_shared<CancelToken>();
  gone->add([&stream] { stream.cancel(); });
  std::optional<DisconnectWatch::Guard> guard;
  if (process.is_valid()) guard.emplace(watch_, process.get(), gone, DisconnectWatch::Kind::kProcess);
  StreamPump(exchange, stream, pump_options(exchange, request, false)).run(request.call);
}

// Moby sends the head of an exec before it starts the process, and docker-py loses output that comes with the
// head. Whatever would make the start fail is left to the engine to tell, as a plain answer.
bool ApiHandler::begins_before_exec(Request& request) {
  if (request.is_strict || request.op->name != "exec.start" || !request.config.isObject()) return false;
  const Result<Json> exec = inspect("exec.inspect", request.ids[0], request.call);
  if (!exec.is_ok()) return false;
  // To Moby the Tty of a start is only about the form of the output; that of the exec counts.
  request.wants_raw = is_set(request.config, "Tty");
  request.config["Tty"] = is_set((*exec)["ProcessConfig"], "tty");
  if (is_set(request.config, "Detach")) return false;
  if (is_set(*exec, "Running") || !(*exec)["ExitCode"].isNull()) return false;
  const Result<Json> container =
      inspect("container.inspect", (*exec)["ContainerID"].asString(), request.call);
  return container.is_ok() && is_set((*container)["State"], "Running") &&
         !is_set((*container)["State"], "Paused");
}

void ApiHandler::serve_exec(Exchange& exchange, Request& request) {
  const bool terminal = request.wants_raw;
  PumpOptions options = pump_options(exchange, request, terminal);
  const int64_t stall_ms = exchange.limits().write_ms;
  if (!exchange.connection().send_all(std::exchange(options.head, {}), stall_ms).is_ok())
    return exchange.give_up();
  Result<StreamPtr> opened = [&] {
    const DisconnectWatch::Guard guard(watch_, exchange.connection().fd(), request.call.cancel,
                                       DisconnectWatch::Kind::kHalfClosing);
    return api::open_operation(engine_, *request.op, request.args(), request.call);
  }();
  if (opened.is_ok()) return StreamPump(exchange, **opened, std::move(options)).run(request.call);
  const std::string text = opened.status().message() + "\r\n";
  const std::string bytes = terminal ? text : io::mux_frame(io::MuxStream::kStdout, text);
  exchange.connection().send_all(bytes, stall_ms).ignore();
}

Result<Json> ApiHandler::inspect(const char* operation, const std::string& id, const Call& call) {
  const std::array<std::string, 1> ids = {id};
  return api::call_operation(engine_, *api::find_operation(operation), {.ids = ids}, call);
}

// Moby answers an exec that nobody attaches to with an empty 200.
void ApiHandler::serve_detached(Exchange& exchange, const Request& request, Stream& stream) {
  const Result<std::string> result = stream.finish(request.call);
  if (!result.is_ok()) return respond_error(exchange, request, result.status()).ignore();
  exchange.respond({}).ignore();
}

Headers ApiHandler::stream_headers(Exchange& exchange, const Request& request, bool terminal, bool upgrade) {
  const api::OpInfo& op = *request.op;
  const int minor = request.is_strict ? bridge::kMaxMinor : request.minor;
  Headers headers;
  const std::string type = bridge::stream_content_type(op, minor, terminal, upgrade);
  if (!type.empty()) headers.emplace_back("Content-Type", type);
  if (!upgrade) return headers;
  headers.emplace_back("Connection", "Upgrade");
  headers.emplace_back("Upgrade", "tcp");
  if (op.has_config || request.is_strict) {  // Moby's attach sends nothing else
    headers.insert(headers.end(), exchange.common_headers().begin(), exchange.common_headers().end());
  }
  return headers;
}

PumpOptions ApiHandler::pump_options(Exchange& exchange, const Request& request, bool terminal) {
  const api::OpInfo& op = *request.op;
  const bool duplex = op.kind == api::OpKind::kDuplex;
  const bool upgrade = duplex && exchange.head().wants_upgrade();
  PumpOptions options;
  options.is_strict = request.is_strict;
  options.chunked = !duplex && !exchange.head().is_http_1_0;
  options.head_apart = duplex && !request.is_strict && is_set(request.options, "logs");
  options.lazy_head = op.kind == api::OpKind::kUpload || op.queue == QueuePolicy::kLatest;
  options.form = stream_form(op, terminal);
  options.trailer = request.is_strict && options.chunked && op.frames == api::OpFrames::kData;
  if (op.kind == api::OpKind::kUpload) options.input = StreamInput::kBody;
  if (duplex) {
    const bool takes_input = op.has_config || is_set(request.options, "stdin");
    options.input = takes_input ? StreamInput::kSocket : StreamInput::kIgnore;
  }
  Headers headers = stream_headers(exchange, request, terminal, upgrade);
  if (options.trailer) headers.emplace_back("Trailer", "Pouch-End");
  options.head = exchange.stream_head(upgrade ? 101 : op.success_status, std::move(headers), options.chunked);
  if (!request.is_strict && op.frames == api::OpFrames::kMessages) {
    const int minor = request.minor;
    options.shape = [&op, minor](std::string line) {
      return bridge::shape_message(op, minor, std::move(line));
    };
    options.error_line = [&op](const Status& error) { return bridge::stream_error_line(op, error); };
  }
  options.early_error = [this, &exchange, &request](const Status& error) {
    return respond_error(exchange, request, error);
  };
  return options;
}

}  // namespace pouch::http
