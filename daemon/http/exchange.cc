#include "daemon/http/exchange.h"

#include <utility>

namespace pouch::http {

Status Exchange::ask_for_body() {
  if (asked_ || parser_.is_done()) return {};
  asked_ = true;
  const bool expected = equals_ignore_case(head().header("Expect"), "100-continue");
  if (!expected || !connection_.input().empty()) return {};
  return connection_.send_all("HTTP/1.1 100 Continue\r\n\r\n", limits_.write_ms);
}

Result<std::string> Exchange::read_body(size_t limit) {
  const auto too_large = [&] {
    return Status(Code::kResourceExhausted,
                  "the request's body is over the limit of " + std::to_string(limit) + " bytes");
  };
  if (head().content_length && *head().content_length > limit) return too_large();
  POUCH_RETURN_IF_ERROR(ask_for_body());
  std::string body;
  while (!parser_.is_done()) {
    POUCH_ASSIGN_OR_RETURN(const std::string part,
                           parser_.parse_body(connection_.input(), Connection::kReadBytes));
    body += part;
    if (body.size() > limit) return too_large();
    if (!part.empty() || parser_.is_done()) continue;
    POUCH_ASSIGN_OR_RETURN(const bool more, connection_.fill(Deadline::after_ms(limits_.body_ms)));
    if (!more) return Status(Code::kClosed, "the client ended the request before its body was whole");
  }
  return body;
}

Status Exchange::respond(const Response& response) {
  answered_ = true;
  Headers headers = common_;
  headers.insert(headers.end(), response.headers.begin(), response.headers.end());
  const bool no_body = response.status == 204 || response.status == 304;
  if (!no_body) headers.emplace_back("Content-Length", std::to_string(response.body.size()));
  if (!head().keep_alive || !parser_.is_done() || connection_.stop().is_set()) keep_alive_ = false;
  if (!keep_alive_) headers.emplace_back("Connection", "close");
  std::string text = render_head(response.status, headers);
  if (head().method != "HEAD" && !no_body) text += response.body;
  Status sent = connection_.send_all(text, limits_.write_ms);
  if (!sent.is_ok()) keep_alive_ = false;
  return sent;
}

std::string Exchange::stream_head(int status, Headers headers, bool chunked) {
  answered_ = true;
  Headers all = status == 101 ? Headers{} : common_;
  all.insert(all.end(), headers.begin(), headers.end());
  if (chunked && !head().is_http_1_0) all.emplace_back("Transfer-Encoding", "chunked");
  if (!chunked || head().is_http_1_0 || !head().keep_alive) keep_alive_ = false;
  if (status != 101 && !keep_alive_) all.emplace_back("Connection", "close");
  return render_head(status, all);
}

}  // namespace pouch::http
