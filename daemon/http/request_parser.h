#pragma once

#include <memory>
#include <string>

#include "core/base/status.h"
#include "daemon/http/message.h"

namespace pouch::http {

/// One HTTP/1.1 request out of a byte stream: first the head, then the body (length or chunked). It takes
/// what it needs from the front of the caller's buffer; what follows the request stays there.
class RequestParser {
 public:
  explicit RequestParser(size_t head_limit);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /// True once the head is whole. ResourceExhausted when it is over the limit, InvalidArgument when it is no
  /// HTTP.
  Result<bool> parse_head(std::string& buffer);
  const RequestHead& head() const { return head_; }

  /// After the head: up to `max` bytes of the body. Empty means that more input is needed, or the end.
  Result<std::string> parse_body(std::string& buffer, size_t max);
  bool is_done() const;

 private:
  struct Impl;
  void take_head();

  std::unique_ptr<Impl> impl_;
  RequestHead head_;
};

}  // namespace pouch::http
