#include "core/remote/hijack.h"

#include <charconv>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::remote {
namespace {

constexpr size_t kInputBytes = size_t{64} << 10U;
constexpr size_t kMaxErrorBytes = size_t{1} << 20U;

// The payload of a chunked body, as far as it is there; nullopt until its last chunk has come.
std::optional<std::string> dechunk(std::string_view body) {
  std::string out;
  while (true) {
    const size_t line = body.find("\r\n");
    if (line == std::string_view::npos) return std::nullopt;
    size_t size = 0;
    const auto parsed = std::from_chars(body.data(), body.data() + line, size, 16);
    if (parsed.ec != std::errc() || size > kMaxErrorBytes) return out;  // what came before is all there is
    if (size == 0) return out;
    if (body.size() < line + 2 + size + 2) return std::nullopt;
    out.append(body.substr(line + 2, size));
    body.remove_prefix(line + 2 + size + 2);
  }
}

}  // namespace

Hijack::Hijack(const Address& address, Request request, std::shared_ptr<StreamPipe> pipe,
               Completion completion)
    : address_(address),
      request_(std::move(request)),
      socket_(address_, request_.op),
      pipe_(std::move(pipe)),
      completion_(std::move(completion)) {}

std::string Hijack::request_text() const {
  std::string text =
      request_.method + " " + request_.target + " HTTP/1.1\r\nHost: " + address_.authority + "\r\n";
  text += "User-Agent: libpouch/" POUCH_VERSION "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n";
  for (const std::string& header : request_.headers) text += header + "\r\n";
  if (request_.body) text += "Content-Type: application/json\r\n";
  text += "Content-Length: " + std::to_string(request_.body ? request_.body->size() : 0) + "\r\n\r\n";
  return text + request_.body.value_or("");
}

Status Hijack::open(const Call& call) {
  POUCH_RETURN_IF_ERROR(socket_.connect(call));
  POUCH_RETURN_IF_ERROR(socket_.send_all(request_text(), call));
  POUCH_RETURN_IF_ERROR(read_head(call));
  if (const std::string length = head().header("content-length"); !length.empty() && head().status != 101) {
    body_left_ = leading_number<size_t>(length);
  }
  if (head().status == 101 || head().status == 200) return {};
  POUCH_ASSIGN_OR_RETURN(const std::string body, read_error_body(call));
  return error_of_answer(head(), body, request_.op);
}

Status Hijack::read_head(const Call& call) {
  while (!parser_.is_complete()) {
    POUCH_ASSIGN_OR_RETURN(const std::string bytes, socket_.receive(call));
    if (bytes.empty()) {
      return unavailable(request_.op + ": " + address_.uri + " closed the connection before its answer");
    }
    early_ += bytes;
    size_t used = 0;
    while (!parser_.is_complete()) {
      const size_t end = early_.find('\n', used);
      if (end == std::string::npos) break;
      if (Status status = parser_.feed_line(std::string_view(early_).substr(used, end + 1 - used));
          !status.is_ok()) {
        return status.prefix(request_.op);
      }
      used = end + 1;
    }
    early_.erase(0, used);
    if (!parser_.is_complete() && early_.size() > kMaxHeadBytes) {
      return {Code::kResourceExhausted,
              request_.op + ": the head of the server's answer is longer than 64 KiB"};
    }
  }
  return {};
}

Result<std::string> Hijack::read_error_body(const Call& call) {
  const bool chunked = to_lower(head().header("transfer-encoding")) == "chunked";
  std::string body = std::exchange(early_, {});
  while (body.size() < std::min(body_left_.value_or(kMaxErrorBytes), kMaxErrorBytes)) {
    if (chunked) {
      if (const auto whole = dechunk(body)) return *whole;
    }
    Result<std::string> more = socket_.receive(call);
    if (!more.is_ok() && more.code() != Code::kUnavailable) return more.status();
    if (!more.is_ok() || more->empty()) break;
    body += *more;
  }
  if (chunked) return dechunk(body).value_or(body);
  return body;
}

void Hijack::set_format(BodyFormat format) {
  decoder_.emplace(std::move(format), pipe_);
}

void Hijack::abort() {
  pipe_->finish(
      Status(Code::kCancelled, request_.op + ": given up"));  // frees a push that waits for its reader
  aborted_.store(true);
  socket_.wake();
}

void Hijack::run() {
  pipe_->on_cancel([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->abort();
  });
  Result<std::string> result = complete(pump(), completion_);
  if (result.is_ok() && keys_ && keys_->were_pressed()) result = detached_result_;
  pipe_->finish(std::move(result));
}

Status Hijack::send_input() {
  if (pending_.empty() && !input_ended_) {
    Result<std::string> bytes = pipe_->read_input(kInputBytes, Deadline::after_ms(0));
    if (bytes.code() == Code::kDeadlineExceeded) return {};
    if (!bytes.is_ok()) return bytes.status();
    if (bytes->empty()) {
      input_ended_ = true;
      if (!keeps_input_open_) socket_.shut_down_write();
      return {};
    }
    if (keys_) keys_->pass(*bytes);  // only to know: the server does the same
    pending_ = std::move(*bytes);
  }
  if (pending_.empty()) return {};
  const Result<size_t> sent = socket_.try_send(pending_);
  if (!sent.is_ok()) {  // what the server has to say about it may still come
    pending_.clear();
    input_ended_ = true;
    return {};
  }
  pending_.erase(0, *sent);
  return {};
}

// False when nothing more will come.
Result<bool> Hijack::receive_output() {
  bool ended = false;
  std::string bytes = std::exchange(early_, {});
  if (bytes.empty() && body_left_ != size_t{0}) {
    POUCH_ASSIGN_OR_RETURN(bytes, socket_.try_receive(&ended));
  }
  if (body_left_) {
    bytes.resize(std::min(bytes.size(), *body_left_));
    *body_left_ -= bytes.size();
    ended = ended || *body_left_ == 0;
  }
  if (!bytes.empty()) POUCH_RETURN_IF_ERROR(decoder_->feed(bytes));
  return !ended && !decoder_->has_ended();
}

Result<std::string> Hijack::pump() {
  Status transport;
  while (true) {
    if (aborted_.load()) return Status(Code::kCancelled, request_.op + ": given up");
    const Result<bool> more = receive_output();
    if (!more.is_ok()) {
      transport = more.status();
      break;
    }
    if (!*more) break;
    if (Status sent = send_input(); !sent.is_ok()) return sent;
    const int input = pending_.empty() && !input_ended_ ? pipe_->input_fd() : -1;
    socket_.wait(!pending_.empty(), true, input, -1);
  }
  return decoder_->finish(transport);
}

}  // namespace pouch::remote
