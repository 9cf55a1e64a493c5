#include "daemon/http/stream_pump.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "core/api/json.h"
#include "core/io/stdcopy.h"
#include "daemon/http/wire.h"

namespace pouch::http {
namespace {

constexpr size_t kFlushBytes = size_t{256} << 10U;
constexpr int64_t kMaxStallMs = 50;
constexpr int kHeadPauseMs = 2;
constexpr int kHeadTries = 25;

io::MuxStream mux_stream(Channel channel) {
  return channel == Channel::kStderr ? io::MuxStream::kStderr : io::MuxStream::kStdout;
}

}  // namespace

StreamPump::StreamPump(Exchange& exchange, Stream& stream, PumpOptions options)
    : exchange_(exchange),
      connection_(exchange.connection()),
      stream_(stream),
      options_(std::move(options)),
      input_open_(options_.input != StreamInput::kNone) {
  if (!options_.lazy_head) {
    out_ = options_.head;
    head_sent_ = true;
  }
  if (options_.input == StreamInput::kBody) {
    input_deadline_ = Deadline::after_ms(exchange.limits().upload_ms);
  }
}

void StreamPump::run(const Call& call) {
  Status status = options_.input == StreamInput::kBody ? exchange_.ask_for_body() : Status();
  if (status.is_ok() && options_.head_apart) status = send_head();
  while (status.is_ok() && !ended_) {
    status = collect();
    if (status.is_ok() && !ended_) status = take_input();
    if (status.is_ok() && !ended_) status = flush().status();
    if (status.is_ok() && !ended_) status = wait();
  }
  if (!status.is_ok()) {  // the client is gone, or the server stops: the operation has no reader any more
    stream_.cancel();
    if (!connection_.stop().is_set()) {
      exchange_.give_up();
      return;
    }
    end_status_ = unavailable("the server is stopping");
  } else if (end_status_.is_ok()) {
    Result<std::string> result = stream_.finish(call);
    end_status_ = result.status();
    if (result.is_ok()) result_ = std::move(*result);
  }
  if (!finish().is_ok()) exchange_.give_up();
}

// docker-py loses what it receives together with the head, so the client is given a moment to read that.
Status StreamPump::send_head() {
  POUCH_RETURN_IF_ERROR(flush().status());
  for (int tries = 0; tries < kHeadTries; ++tries) {
    ::poll(nullptr, 0, kHeadPauseMs);
    int unread = 0;
    if (::ioctl(connection_.fd(), SIOCOUTQ, &unread) != 0 || unread == 0) return {};
  }
  return {};
}

Status StreamPump::collect() {
  Frame frame;
  while (frames_.size() + out_.size() - out_used_ < kFlushBytes) {
    const Result<Next> next = stream_.next(&frame, Deadline::after_ms(0));
    if (!next.is_ok()) {
      end_status_ = next.status();
      ended_ = true;
      return {};
    }
    if (*next == Next::kAgain) break;
    if (*next == Next::kEof) {
      ended_ = true;
      return {};
    }
    append_frame(frame);
  }
  return {};
}

void StreamPump::append_line(const std::string& line) {
  frames_ += line;
  frames_ += '\n';
}

void StreamPump::append_frame(const Frame& frame) {
  switch (options_.form) {
    case StreamForm::kMux:
      frames_ += io::mux_frame(mux_stream(frame.channel), frame.data);
      break;
    case StreamForm::kRaw:
      frames_ += frame.data;
      break;
    case StreamForm::kLines:
      if (options_.is_strict && frame.flags > 0) append_line(lost_record(frame.flags));
      append_line(options_.shape ? options_.shape(frame.data) : frame.data);
      break;
  }
}

void StreamPump::append_end() {
  if (options_.is_strict) {
    if (options_.trailer) return;
    const std::string record = end_record(end_status_, result_);
    if (options_.form == StreamForm::kLines) {
      append_line(record);
    } else {
      frames_ += io::mux_frame(io::MuxStream::kSystemError, record);
    }
    return;
  }
  if (end_status_.is_ok()) return;
  if (options_.form == StreamForm::kMux) {
    frames_ += io::mux_frame(io::MuxStream::kSystemError, end_status_.message());
  } else if (options_.form == StreamForm::kLines && options_.error_line) {
    if (const std::string line = options_.error_line(end_status_); !line.empty()) append_line(line);
  }
}

void StreamPump::wrap_chunk() {
  if (frames_.empty()) return;
  if (!head_sent_) {
    out_ += options_.head;
    head_sent_ = true;
  }
  if (!options_.chunked) {
    out_ += frames_;
  } else {
    std::array<char, 24> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", frames_.size());
    out_ += size.data();
    out_ += frames_;
    out_ += "\r\n";
  }
  frames_.clear();
}

Result<bool> StreamPump::flush() {
  wrap_chunk();
  while (out_used_ < out_.size()) {
    POUCH_ASSIGN_OR_RETURN(const size_t sent, connection_.send_now(std::string_view(out_).substr(out_used_)));
    if (sent == 0) return false;
    out_used_ += sent;
  }
  out_.clear();
  out_used_ = 0;
  return true;
}

// One piece from the client to the operation, as far as both go now.
Status StreamPump::take_input() {
  if (options_.input == StreamInput::kNone) return {};
  if (pending_.empty() && input_open_) POUCH_RETURN_IF_ERROR(read_input());
  offer_input();
  if (!input_open_ && pending_.empty() && !input_closed_) {
    input_closed_ = true;
    if (options_.input != StreamInput::kIgnore) stream_.close_write().ignore();  // next() tells what is wrong
  }
  return {};
}

Status StreamPump::read_input() {
  const bool is_body = options_.input == StreamInput::kBody;
  if (is_body && exchange_.parser().is_done()) {
    input_open_ = false;
    return {};
  }
  if (connection_.input().empty() || needs_more_) {
    POUCH_ASSIGN_OR_RETURN(const ssize_t got, connection_.fill_now());
    if (got < 0) return {};
    needs_more_ = false;
    if (got == 0) {
      if (is_body) return {Code::kClosed, "the client ended the request before its body was whole"};
      input_open_ = false;
      return {};
    }
  }
  if (is_body) return read_body_part();
  pending_ = std::exchange(connection_.input(), {});
  return {};
}

Status StreamPump::read_body_part() {
  RequestParser& parser = exchange_.parser();
  POUCH_ASSIGN_OR_RETURN(pending_, parser.parse_body(connection_.input(), Connection::kReadBytes));
  input_deadline_ = Deadline::after_ms(exchange_.limits().upload_ms);
  if (parser.is_done()) input_open_ = false;
  needs_more_ = input_open_ && pending_.empty();
  return {};
}

void StreamPump::offer_input() {
  if (options_.input == StreamInput::kIgnore || input_dropped_) pending_.clear();
  if (pending_.empty()) return;
  // An upload has little to say meanwhile; a terminal must be able to answer while it is not read from.
  const int64_t wait_ms = options_.input == StreamInput::kBody ? kMaxStallMs : stalled_ms_;
  const bool may_wait = out_.empty() && frames_.empty();
  const Result<size_t> taken = stream_.write(pending_, Deadline::after_ms(may_wait ? wait_ms : 0));
  if (!taken.is_ok()) {  // it reads no more; why, next() will tell
    input_dropped_ = true;
    pending_.clear();
    return;
  }
  pending_.erase(0, *taken);
  stalled_ms_ = *taken > 0 ? 1 : std::min(kMaxStallMs, stalled_ms_ * 2 + 1);
  if (options_.input == StreamInput::kBody) {
    input_deadline_ = Deadline::after_ms(exchange_.limits().upload_ms);
  }
}

short StreamPump::socket_events() const {
  short events = 0;
  if (input_open_) {
    if (pending_.empty()) events = POLLIN;
  } else if (options_.input == StreamInput::kNone || options_.input == StreamInput::kBody) {
    events =
        POLLRDHUP;  // a client that sends no more has gone; on a hijacked connection it has only half-closed
  }
  if (out_used_ < out_.size()) events = static_cast<short>(events | POLLOUT);
  return events;
}

// Until the stream or the socket has something, or the server stops.
Status StreamPump::wait() {
  int timeout = -1;
  if (input_open_ && pending_.empty()) {
    if (!connection_.input().empty() && !needs_more_) return {};
    if (options_.input == StreamInput::kBody) timeout = input_deadline_.poll_timeout_ms();
  }
  if (!pending_.empty()) timeout = out_.empty() ? 0 : static_cast<int>(stalled_ms_);  // offer_input waits
  const bool reads_stream = out_.size() - out_used_ < kFlushBytes;
  std::array<pollfd, 3> fds = {{{connection_.fd(), socket_events(), 0},
                                {reads_stream ? stream_.poll_fd() : -1, POLLIN, 0},
                                {connection_.stop().fd(), POLLIN, 0}}};
  const int ready = ::poll(fds.data(), fds.size(), timeout);
  if (ready <= 0) {
    const bool silent = ready == 0 && pending_.empty() && timeout >= 0 && input_deadline_.has_passed();
    if (silent) return {Code::kDeadlineExceeded, "the client was silent for too long"};
    return {};
  }
  if (fds[2].revents != 0) return unavailable("the server is stopping");
  if ((fds[0].revents & (POLLERR | POLLHUP | POLLRDHUP | POLLNVAL)) != 0 && (fds[0].revents & POLLIN) == 0) {
    return {Code::kClosed, "the client has closed the connection"};
  }
  return {};
}

// The end of the answer, sent in full.
Status StreamPump::finish() {
  if (!head_sent_ && frames_.empty() && !end_status_.is_ok() && options_.early_error) {
    return options_.early_error(end_status_);
  }
  append_end();
  wrap_chunk();
  if (!head_sent_) out_ += options_.head;
  head_sent_ = true;
  if (options_.chunked) {
    out_ += "0\r\n";
    if (options_.trailer) out_ += end_trailer(end_status_, result_);
    out_ += "\r\n";
  }
  return send_rest();
}

// A reader may take its time (a pager), as long as it is there.
Status StreamPump::send_rest() {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool sent, flush());
    if (sent) return {};
    if (connection_.stop().is_set()) {
      return connection_.send_all(std::string_view(out_).substr(out_used_), exchange_.limits().linger_ms);
    }
    std::array<pollfd, 2> fds = {{{connection_.fd(), POLLOUT, 0}, {connection_.stop().fd(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), -1);
  }
}

}  // namespace pouch::http
