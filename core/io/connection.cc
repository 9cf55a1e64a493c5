#include "core/io/connection.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/log.h"
#include "core/io/json_text.h"

namespace pouch::io {

namespace {

constexpr size_t kMaxPiece = 16 * 1024;  // bytes; a piece counts as read when the client has read all of it

}  // namespace

Connection::Connection(uint64_t id, UniqueFd fd, sys::EventLoop& loop, RequestHandler& handler,
                       const ConnectionLimits& limits)
    : id_(id), fd_(std::move(fd)), loop_(loop), handler_(handler), limits_(limits) {}

Connection::~Connection() {
  end_stall();
  detach();
  if (linger_timer_ != 0) loop_.cancel(linger_timer_);
  if (watch_ != 0) loop_.remove(watch_);
}

Status Connection::start() {
  POUCH_ASSIGN_OR_RETURN(watch_,
                         loop_.add(fd_.get(), EPOLLIN, [this](uint32_t events) { on_event(events); }));
  return {};
}

void Connection::detach() {
  waiting_for_.clear();
  if (stream_ == nullptr) return;
  Stream& stream = *std::exchange(stream_, nullptr);
  stream.unsubscribe(this, attach_.want_stdin);
  stream.forget_client(client_);
}

void Connection::close() {
  if (is_closed()) return;
  end_stall();
  detach();
  if (linger_timer_ != 0) loop_.cancel(std::exchange(linger_timer_, 0));
  loop_.remove(std::exchange(watch_, 0));
  fd_.reset();
  handler_.on_closed(*this);
}

void Connection::on_event(uint32_t events) {
  if ((events & EPOLLOUT) != 0) send_some();
  if (is_closed()) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !receive()) return close();
  process();
}

// False when the client is gone.
bool Connection::receive() {
  std::array<char, 64 * 1024> buffer;
  const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  if (!is_ending_) inbox_.feed(std::string_view(buffer.data(), static_cast<size_t>(got)));
  return true;
}

void Connection::process() {
  if (is_processing_) return;  // an answer given at once comes back here
  is_processing_ = true;
  while (!is_closed() && !is_busy_ && !is_ending_ && stdin_unread_ < limits_.max_stdin) {
    Result<std::optional<Message>> message = inbox_.next();
    if (!message.is_ok()) {
      log_warning("io", "client of the keeper: " + message.status().message());
      close();
      break;
    }
    if (!message->has_value()) break;
    is_attached_ ? process_frame(**message) : process_request(**message);
  }
  is_processing_ = false;
  if (!is_closed()) update_events();
}

void Connection::process_request(const Message& message) {
  const Result<Fields> fields = decode_string_map(message.body);
  const auto op = static_cast<Op>(message.type);
  is_busy_ = true;
  if (!fields.is_ok()) {
    is_ending_ = true;
    return fail(fields.status());
  }
  if (!has_said_hello_) return op == Op::kHello ? process_hello(*fields) : close();
  const std::string container = text_field(*fields, "container");
  const LogScoped scoped(
      {{}, container.empty() ? text_field(*fields, "id") : container, text_field(*fields, kRequestIdField)});
  // A ping comes before everything else, and says nothing.
  if (op != Op::kPing) log_debug("io", std::string(op_name(op)));
  handler_.on_request(*this, op, *fields);
}

void Connection::process_hello(const Fields& fields) {
  if (text_field(fields, "magic") != kProtocolMagic) return close();
  const int64_t newest = int_field(fields, "version");
  const int64_t oldest = int_field(fields, "min_version", newest);
  if (newest < kMinProtocolVersion || oldest > kProtocolVersion) {
    is_ending_ = true;
    return fail(not_implemented("keeper protocol versions " + std::to_string(oldest) + " to " +
                                std::to_string(newest) + "; this keeper (" POUCH_VERSION ") speaks " +
                                std::to_string(kMinProtocolVersion) + " to " +
                                std::to_string(kProtocolVersion)));
  }
  has_said_hello_ = true;
  reply({{"magic", kProtocolMagic},
         {"version", std::to_string(std::min<int64_t>(newest, kProtocolVersion))},
         {"features", kProtocolFeatures}});
}

void Connection::process_frame(const Message& message) {
  const auto type = static_cast<FrameType>(message.type);
  if (type == FrameType::kDetach) {
    attach_.want_stdin = false;
    return close();
  }
  if (!attach_.want_stdin) return;
  if (type == FrameType::kStdin) {
    stdin_unread_ += message.body.size();
    if (stream_ != nullptr) {
      stream_->write_stdin(this, message.body);
    } else {
      early_stdin_ += message.body;
    }
  } else if (type == FrameType::kStdinClose) {
    if (stream_ != nullptr) {
      stream_->client_closed_stdin();
    } else {
      early_close_ = true;
    }
  }
}

void Connection::reply(const Fields& fields) {
  is_busy_ = false;
  append_message(outbox_, static_cast<uint8_t>(Op::kOk), encode_string_map(fields));
  send_some();
  if (!is_closed()) process();
}

void Connection::fail(const Status& status) {
  is_busy_ = false;
  append_message(outbox_, static_cast<uint8_t>(Op::kError), encode_string_map(encode_status(status)));
  send_some();
  if (!is_closed()) process();
}

void Connection::begin_attach(const std::string& stream_id, const AttachSpec& spec) {
  is_attached_ = true;
  attach_ = spec;
  waiting_for_ = stream_id;
}

void Connection::bind(Stream& stream) {
  waiting_for_.clear();
  stream_ = &stream;
  stream.subscribe(this);
  if (attach_.can_resume) resume(stream);
  if (stream_ == nullptr) return;
  if (!early_stdin_.empty()) stream.write_stdin(this, std::exchange(early_stdin_, {}));
  if (early_close_) stream.client_closed_stdin();
}

// `at`: after the pieces.
void Connection::replay(const std::vector<OutputPiece>& pieces, AttachPosition at) {
  const auto count = [&at](const OutputPiece& piece) -> uint64_t& {
    return piece.stream == LogStream::kStdout ? at.output.stdout_bytes : at.output.stderr_bytes;
  };
  const auto tell_position = [this, &at] {
    append_message(outbox_, static_cast<uint8_t>(FrameType::kOrigin), encode_origin(at));
  };
  for (const OutputPiece& piece : pieces) count(piece) -= piece.bytes;
  const size_t before = outbox_.size();
  tell_position();
  for (const OutputPiece& piece : pieces) {
    const auto type = piece.stream == LogStream::kStdout ? FrameType::kStdout : FrameType::kStderr;
    append_message(outbox_, static_cast<uint8_t>(type), piece.data);
    count(piece) += piece.bytes;
    if (piece.bytes != piece.data.size()) tell_position();  // it would count otherwise
  }
  replayed_ = outbox_.size() - before;
}

// What was missed and what comes are one sequence: the stream has no time to read anything in between.
void Connection::resume(Stream& stream) {
  const AttachPosition before = attach_.resume.value_or(AttachPosition{0, stream.position(), 0});
  const auto missing = stream.output_since(before.output, attach_);
  client_ = stream.note_client(number_of(attach_));
  stdin_taken_ = stream.input_of(client_).value_or(0);
  if (!missing.is_ok()) {
    log_warning("io", missing.status().message(), stream.spec().container_id);
    const int64_t log_position = stream.log_position();
    detach();
    return end(EndReason::kMissed, "what the client missed is no longer in the log", log_position);
  }
  replay(*missing, {stream.spec().generation, stream.position(), client_});
  send_some();
  if (is_closed()) return;
  if (outbox_.size() - sent_ > limits_.max_unsent) begin_stall();
  stream.reconsider_pause();
  stream.settle_client(client_);
}

void Connection::deliver(FrameType type, std::string_view data) {
  const bool is_wanted = type == FrameType::kStdout ? attach_.want_stdout : attach_.want_stderr;
  if (is_closed() || is_ending_ || !is_wanted) return;
  append_message(outbox_, static_cast<uint8_t>(type), data);
  send_some();
  if (is_closed()) return;
  const size_t unsent = outbox_.size() - sent_;
  // Over the double it comes only when the stream cannot be paused: its process has ended.
  if (unsent > 2 * limits_.max_unsent + replayed_) return lag();
  if (unsent > limits_.max_unsent) begin_stall();
}

// A client that is slower than the process slows it down, as it would at the end of a pipe; one that stands
// still does so for a moment only, and is then ended.
void Connection::begin_stall() {
  if (stall_timer_ != 0) return;
  read_at_check_ = read_by_client();
  stall_timer_ = loop_.after_ms(limits_.max_stall_ms, [this] { check_stall(); });
}

void Connection::check_stall() {
  stall_timer_ = 0;
  if (read_by_client() - read_at_check_ < limits_.min_progress) return lag();
  begin_stall();
}

void Connection::end_stall() {
  if (stall_timer_ == 0) return;
  loop_.cancel(std::exchange(stall_timer_, 0));
  if (stream_ != nullptr) stream_->reconsider_pause();
}

void Connection::lag() {
  const int64_t log_position = stream_ == nullptr ? -1 : stream_->log_position();
  end_stall();
  detach();
  end(EndReason::kLagged, "the client read too slowly", log_position);
}

void Connection::end(EndReason reason, const std::string& message, int64_t log_position) {
  if (is_closed() || is_ending_) return;
  stream_ = nullptr;
  end_stall();
  waiting_for_.clear();
  append_message(outbox_, static_cast<uint8_t>(FrameType::kEnd), encode_end(reason, message, log_position));
  is_ending_ = true;
  linger();
  send_some();
}

// What it has not read yet stays for as long as it goes on reading, however slowly.
void Connection::linger() {
  read_at_check_ = read_by_client();
  linger_timer_ = loop_.after_ms(limits_.max_linger_ms, [this] {
    linger_timer_ = 0;
    read_by_client() == read_at_check_ ? close() : linger();
  });
}

void Connection::stdin_taken(size_t bytes) {
  stdin_taken_ += bytes;
  if (stream_ != nullptr) stream_->note_input(client_, stdin_taken_);
  const bool was_full = stdin_unread_ >= limits_.max_stdin;
  stdin_unread_ -= std::min(bytes, stdin_unread_);
  if (is_closed() || is_ending_) return;
  const bool is_told = attach_.client != 0;
  if (is_told)
    append_message(outbox_, static_cast<uint8_t>(FrameType::kInputTaken), std::to_string(stdin_taken_));
  // Not within the stream's own call: the messages left would be given to it right there, and one that is
  // gone would be taken off it.
  const bool has_room = was_full && stdin_unread_ < limits_.max_stdin;
  if ((has_room || is_told) && !is_processing_) update_events();
}

// What we have sent less what is still in the socket. By sends alone a reader could not be judged: the kernel
// lets us go on only after three quarters of its buffer are free, which a slow and steady one may take long
// for.
int64_t Connection::read_by_client() const {
  int unread = 0;  // with the kernel's own overhead, in pieces as we sent them
  if (::ioctl(fd_.get(), SIOCOUTQ, &unread) != 0) unread = 0;
  return static_cast<int64_t>(total_sent_) - unread;
}

void Connection::send_some() {
  while (sent_ < outbox_.size()) {
    const ssize_t put = ::send(fd_.get(), outbox_.data() + sent_, std::min(outbox_.size() - sent_, kMaxPiece),
                               MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EAGAIN) break;
    if (put < 0) return close();
    sent_ += static_cast<size_t>(put);
    total_sent_ += static_cast<size_t>(put);
  }
  if (outbox_.size() - sent_ < limits_.max_unsent / 2) end_stall();
  if (sent_ == outbox_.size()) {
    outbox_.clear();
    sent_ = 0;
    replayed_ = 0;
    if (is_ending_) return close();
  } else if (sent_ > limits_.max_unsent / 2) {
    outbox_.erase(0, sent_);
    sent_ = 0;
  }
  update_events();
}

void Connection::update_events() {
  const bool is_full = stdin_unread_ >= limits_.max_stdin || is_busy_;
  uint32_t events = is_full ? 0U : static_cast<uint32_t>(EPOLLIN);
  // Messages that waited for room are taken at the next turn of the loop, which an idle socket's EPOLLOUT
  // brings.
  const bool has_left_over = is_attached_ && !is_full && !is_ending_ && inbox_.has_message();
  if (sent_ < outbox_.size() || has_left_over) events |= EPOLLOUT;
  if (Status changed = loop_.set_events(watch_, events); !changed.is_ok()) log_error("io", changed.message());
}

}  // namespace pouch::io
