#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "daemon/http/connection.h"
#include "daemon/http/limits.h"
#include "daemon/http/message.h"
#include "daemon/http/request_parser.h"

namespace pouch::http {

/// One request on a connection and its answer. The head is already read. Used by one thread.
class Exchange {
 public:
  Exchange(Connection& connection, RequestParser& parser, const Limits& limits)
      : connection_(connection), parser_(parser), limits_(limits) {}

  const RequestHead& head() const { return parser_.head(); }
  Connection& connection() { return connection_; }
  RequestParser& parser() { return parser_; }
  const Limits& limits() const { return limits_; }

  /// The whole body; ResourceExhausted when it is over `limit` bytes, DeadlineExceeded when it does not come.
  Result<std::string> read_body(size_t limit);
  /// To be called before the body is read: answers "Expect: 100-continue".
  Status ask_for_body();

  /// Headers that every answer carries, set by the server's owner before the handler runs.
  void set_common_headers(Headers headers) { common_ = std::move(headers); }
  const Headers& common_headers() const { return common_; }

  /// Sends a whole answer, with Content-Length. The connection lives on if the request allows it.
  Status respond(const Response& response);
  /// The head of an answer whose body the caller sends; 101 and "until close" end the connection after it.
  std::string stream_head(int status, Headers headers, bool chunked);

  bool is_answered() const { return answered_; }
  /// After the answer: whether the connection may take another request.
  bool keeps_alive() const { return keep_alive_ && parser_.is_done(); }
  /// The connection cannot be used any more.
  void give_up() { keep_alive_ = false; }

 private:
  Connection& connection_;
  RequestParser& parser_;
  const Limits& limits_;
  Headers common_;
  bool answered_ = false;
  bool asked_ = false;
  bool keep_alive_ = true;
};

}  // namespace pouch::http
