#include "core/remote/answer.h"

#include <charconv>

#include "core/api/json.h"
#include "core/base/text.h"

namespace pouch::remote {
namespace {

std::string one_line(std::string_view text) {
  std::string out(trim(text));
  for (char& c : out) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  return is_valid_utf8(out) ? out : quote(out);
}

Result<int> parse_status_line(std::string_view line) {
  int status = 0;
  if (line.starts_with("HTTP/1.") && line.size() >= 12) {
    const auto parsed = std::from_chars(line.data() + 9, line.data() + 12, status);
    if (parsed.ec == std::errc() && status >= 100 && status <= 999) return status;
  }
  return Status(Code::kDataLoss, "the server does not speak HTTP: " + quote(trim(line), 80));
}

}  // namespace

std::string Head::header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? "" : at->second;
}

Status HeadParser::feed_line(std::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kMaxHeadBytes) {
    return {Code::kResourceExhausted, "the head of the server's answer is longer than 64 KiB"};
  }
  if (!in_head_) {
    if (complete_) return {};  // trailers
    POUCH_ASSIGN_OR_RETURN(head_.status, parse_status_line(line));
    head_.headers.clear();
    in_head_ = true;
    return {};
  }
  const std::string_view content = trim(line);
  if (content.empty()) {
    in_head_ = false;
    complete_ = head_.status >= 200 || head_.status == 101;
    return {};
  }
  const size_t colon = content.find(':');
  if (colon == std::string_view::npos) {
    return {Code::kDataLoss, "the server sent a header without a colon: " + quote(content, 80)};
  }
  head_.headers[to_lower(content.substr(0, colon))] = std::string(trim(content.substr(colon + 1)));
  return {};
}

Status error_of_document(std::string_view json_text, Code fallback) {
  const Result<Json> json = parse_json(json_text);
  if (!json.is_ok() || !json->isObject() || !(*json)["message"].isString()) {
    const std::string text = one_line(json_text.substr(0, 4096));
    return {fallback, text.empty() ? "the server gave no reason" : text};
  }
  const Json& code = (*json)["code"];
  const Json& details = (*json)["details"];
  const bool has_details = details.isObject() && !details.empty();
  return {code.isString() ? code_from_name(code.asString()) : fallback,
          one_line((*json)["message"].asString()), has_details ? write_json(details) : std::string()};
}

Status error_of_answer(const Head& head, std::string_view body, std::string_view op) {
  const std::string name(op);
  if (head.status == 304) return {Code::kNotModified, name + ": it is already as asked"};
  if (head.status < 400) {
    return {Code::kInternal, name + ": the server answered with HTTP status " + std::to_string(head.status)};
  }
  const Status status = error_of_document(body, code_from_http(head.status));
  // A stock dockerd has no such route; its answer must not look like a missing object.
  if (head.status == 404 && status.message() == "page not found") {
    return not_implemented(name + ": this server does not know the operation");
  }
  if (trim(body).empty()) {
    return {status.code(), name + ": the server answered with HTTP status " + std::to_string(head.status) +
                               " and no reason"};
  }
  return status;
}

}  // namespace pouch::remote
