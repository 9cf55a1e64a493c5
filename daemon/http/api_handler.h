#pragma once

#include <string>

#include "core/api/op.h"
#include "daemon/http/disconnect_watch.h"
#include "daemon/http/exchange.h"
#include "daemon/http/stream_pump.h"

namespace pouch::http {

/// Serves the operations of core/api over HTTP: Moby's dialect through daemon/bridge, or, for requests that
/// ask for it, the strict one (docs/wire.md). Thread-safe; serve() blocks for as long as the request lasts.
class ApiHandler {
 public:
  ApiHandler(Engine& engine, DisconnectWatch& watch) : engine_(engine), watch_(watch) {}

  /// Answers one request. Never throws.
  void serve(Exchange& exchange);

 private:
  struct Request;

  Status prepare(Exchange& exchange, Request& request);
  Status read_config(Exchange& exchange, Request& request);
  void dispatch(Exchange& exchange, Request& request);
  void serve_unary(Exchange& exchange, Request& request);
  void serve_ping(Exchange& exchange, const Request& request);
  void serve_stream(Exchange& exchange, Request& request);
  bool begins_before_exec(Request& request);
  void serve_session(Exchange& exchange, Request& request, Stream& stream);
  void serve_exec(Exchange& exchange, Request& request);
  void serve_detached(Exchange& exchange, const Request& request, Stream& stream);
  Result<Json> inspect(const char* operation, const std::string& id, const Call& call);
  Result<bool> has_terminal(const Request& request);
  static Headers stream_headers(Exchange& exchange, const Request& request, bool terminal, bool upgrade);
  PumpOptions pump_options(Exchange& exchange, const Request& request, bool terminal);
  Status respond_error(Exchange& exchange, const Request& request, const Status& error);

  Engine& engine_;
  DisconnectWatch& watch_;
};

}  // namespace pouch::http
