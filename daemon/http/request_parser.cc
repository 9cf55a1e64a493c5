#include "daemon/http/request_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <limits>

namespace pouch::http {
namespace {

namespace beast_http = boost::beast::http;

Status parse_error(const boost::beast::error_code& error) {
  if (error == beast_http::error::header_limit) {
    return {Code::kResourceExhausted, "the request's head is too large"};
  }
  return invalid_argument("malformed HTTP request: " + error.message());
}

}  // namespace

struct RequestParser::Impl {
  beast_http::request_parser<beast_http::buffer_body> parser;
};

RequestParser::RequestParser(size_t head_limit) : impl_(std::make_unique<Impl>()) {
  impl_->parser.header_limit(static_cast<std::uint32_t>(head_limit));
  impl_->parser.body_limit(
      std::numeric_limits<std::uint64_t>::max());  // documents have a limit of their own, uploads none
  impl_->parser.eager(false);
}

RequestParser::~RequestParser() = default;

Result<bool> RequestParser::parse_head(std::string& buffer) {
  auto& parser = impl_->parser;
  boost::beast::error_code error;
  const size_t used = parser.put(boost::asio::const_buffer(buffer.data(), buffer.size()), error);
  buffer.erase(0, used);
  if (error == beast_http::error::need_more) return false;
  if (error) return parse_error(error);
  if (!parser.is_header_done()) return false;
  take_head();
  return true;
}

void RequestParser::take_head() {
  const auto& parser = impl_->parser;
  const auto& message = parser.get();
  const auto text = [](boost::beast::string_view view) { return std::string(view.data(), view.size()); };
  head_.method = text(message.method_string());
  head_.target = text(message.target());
  for (const auto& field : message)
    head_.headers.emplace_back(text(field.name_string()), text(field.value()));
  head_.is_http_1_0 = message.version() < 11;
  head_.keep_alive = message.keep_alive();
  head_.has_body = !parser.is_done();
  if (const auto length = parser.content_length()) head_.content_length = *length;
}

Result<std::string> RequestParser::parse_body(std::string& buffer, size_t max) {
  auto& parser = impl_->parser;
  std::string out(max, '\0');
  auto& body = parser.get().body();
  body.data = out.data();
  body.size = max;
  body.more = true;
  while (!parser.is_done() && body.size > 0 && !buffer.empty()) {
    boost::beast::error_code error;
    const size_t used = parser.put(boost::asio::const_buffer(buffer.data(), buffer.size()), error);
    buffer.erase(0, used);
    if (error == beast_http::error::need_more || error == beast_http::error::need_buffer) break;
    if (error) return parse_error(error);
  }
  out.resize(max - body.size);
  body.data = nullptr;
  body.size = 0;
  return out;
}

bool RequestParser::is_done() const {
  return impl_->parser.is_done();
}

}  // namespace pouch::http
