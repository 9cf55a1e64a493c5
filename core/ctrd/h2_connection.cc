#include "core/ctrd/h2_connection.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/executor.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/ctrd/grpc_status.h"

namespace pouch::ctrd {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kBatchBytes = 128 * 1024;  // frames gathered for one send()
constexpr uint32_t kStreamWindow = 1024 * 1024;
constexpr int32_t kConnectionWindow = 16 * 1024 * 1024;
constexpr size_t kPrefixBytes = 5;  // compressed flag, big-endian length

Status end_of(const H2Call& call, uint32_t error_code) {
  if (call.grpc_status == 0) return {};
  if (call.grpc_status > 0) return status_of_grpc(call.grpc_status, percent_decode(call.grpc_message));
  if (error_code == NGHTTP2_REFUSED_STREAM) return unavailable("the call was refused");
  if (error_code == NGHTTP2_CANCEL) return {Code::kCancelled, "the call was cancelled by containerd"};
  if (call.http_status != 0 && call.http_status != 200) {
    return unavailable("the peer answered with HTTP status " + std::to_string(call.http_status));
  }
  return unavailable("the call ended without a status (HTTP/2 error " + std::to_string(error_code) + ")");
}

size_t message_length(std::string_view bytes) {
  size_t length = 0;
  for (size_t i = 1; i < kPrefixBytes; ++i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return length;
}

nghttp2_nv header_of(const std::pair<std::string, std::string>& header) {
  const auto bytes = [](const std::string& text) {
    return reinterpret_cast<uint8_t*>(
        const_cast<char*>(text.data()));  // nghttp2 copies, its type has no const
  };
  return {.name = bytes(header.first),
          .value = bytes(header.second),
          .namelen = header.first.size(),
          .valuelen = header.second.size(),
          .flags = NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

/// What nghttp2 calls, always with the connection's mutex held.
struct H2Callbacks {
  static H2Connection& self(void* user) { return *static_cast<H2Connection*>(user); }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    const H2CallPtr call = self(user).find(frame->hd.stream_id);
    if (!call) return 0;
    const std::string_view key(reinterpret_cast<const char*>(name), name_size);
    const std::string_view text(reinterpret_cast<const char*>(value), value_size);
    if (key == ":status") call->http_status = leading_number(text, -1);
    if (key == "grpc-status") call->grpc_status = leading_number(text, -1);
    if (key == "grpc-message") call->grpc_message = text;
    return 0;
  }

  static int data(nghttp2_session* session, uint8_t, int32_t stream_id, const uint8_t* bytes, size_t size,
                  void* user) {
    nghttp2_session_consume_connection(session, size);  // one slow reader must not stop the others
    if (const H2CallPtr call = self(user).find(stream_id)) {
      self(user).on_data(call, {reinterpret_cast<const char*>(bytes), size});
    }
    return 0;
  }

  static int close(nghttp2_session*, int32_t stream_id, uint32_t error_code, void* user) {
    if (const H2CallPtr call = self(user).find(stream_id)) self(user).finish(call, end_of(*call, error_code));
    return 0;
  }

  static int frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_GOAWAY) self(user).is_draining_ = true;
    return 0;
  }

  static ssize_t read(nghttp2_session*, int32_t stream_id, uint8_t* to, size_t size, uint32_t* flags,
                      nghttp2_data_source*, void* user) {
    const H2CallPtr call = self(user).find(stream_id);
    if (!call) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const size_t count = std::min(size, call->outgoing.size() - call->sent);
    std::copy_n(call->outgoing.data() + call->sent, count, to);
    call->sent += count;
    const bool is_all = call->sent == call->outgoing.size();
    if (is_all) {
      call->outgoing.clear();
      call->sent = 0;
      call->changed.notify_all();
      if (call->last_written) *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    if (count != 0 || call->last_written) return static_cast<ssize_t>(count);
    call->is_deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
};

// ---- Making and ending ----

Result<std::shared_ptr<H2Connection>> H2Connection::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return invalid_argument("socket path " + quote(path) + " must have 1 to 107 bytes");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.is_valid() || !wake.is_valid()) return errno_status(errno, "make a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    const std::string what = "connect to " + quote(path);
    if (error == EACCES || error == EPERM) return errno_status(error, what);
    return unavailable(what + ": " + std::strerror(error));
  }
  auto self = std::make_shared<H2Connection>(std::move(fd), std::move(wake));
  POUCH_RETURN_IF_ERROR(self->init_session());
  self->thread_ = start_thread([self] { self->run(); });
  return self;
}

H2Connection::H2Connection(UniqueFd fd, UniqueFd wake) : fd_(std::move(fd)), wake_(std::move(wake)) {}

H2Connection::~H2Connection() = default;

Status H2Connection::init_session() {
  nghttp2_session_callbacks* raw = nullptr;
  if (nghttp2_session_callbacks_new(&raw) != 0) return {Code::kOutOfMemory, "HTTP/2 callbacks"};
  const std::unique_ptr<nghttp2_session_callbacks, void (*)(nghttp2_session_callbacks*)> callbacks(
      raw, nghttp2_session_callbacks_del);
  nghttp2_session_callbacks_set_on_header_callback(raw, H2Callbacks::header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw, H2Callbacks::data);
  nghttp2_session_callbacks_set_on_stream_close_callback(raw, H2Callbacks::close);
  nghttp2_session_callbacks_set_on_frame_recv_callback(raw, H2Callbacks::frame);
  nghttp2_option* raw_option = nullptr;
  if (nghttp2_option_new(&raw_option) != 0) return {Code::kOutOfMemory, "HTTP/2 options"};
  const std::unique_ptr<nghttp2_option, void (*)(nghttp2_option*)> option(raw_option, nghttp2_option_del);
  nghttp2_option_set_no_auto_window_update(raw_option, 1);
  nghttp2_session* session = nullptr;
  if (nghttp2_session_client_new2(&session, raw, this, raw_option) != 0) {
    return {Code::kOutOfMemory, "HTTP/2 session"};
  }
  session_.reset(session);
  const std::array<nghttp2_settings_entry, 2> settings{
      {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow}}};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
  const std::lock_guard lock(mutex_);
  flush();
  return {};
}

bool H2Connection::is_usable() {
  const std::lock_guard lock(mutex_);
  return stop_.is_ok() && !is_draining_ && !is_finished_;
}

bool H2Connection::is_finished() {
  const std::lock_guard lock(mutex_);
  return is_finished_;
}

void H2Connection::close(const Status& why) {
  {
    const std::lock_guard lock(mutex_);
    if (stop_.is_ok()) stop_ = why;
  }
  ::eventfd_write(wake_.get(), 1);
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // ends by itself after the callback, which holds this object
  } else {
    thread_.join();
  }
}

// ---- The thread ----

void H2Connection::run() {
  std::vector<uint8_t> bytes(kReadBytes);
  bool more = true;
  while (more) {
    std::array<pollfd, 2> ready{{{fd_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
    {
      const std::lock_guard lock(mutex_);
      if (wants_write_) ready[0].events |= POLLOUT;
    }
    ::poll(ready.data(), ready.size(), -1);
    eventfd_t ignored = 0;
    if (ready[1].revents != 0) ::eventfd_read(wake_.get(), &ignored);
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    const int error = got < 0 ? errno : 0;
    Ended ended;
    {
      const std::lock_guard lock(mutex_);
      receive(bytes, got, error);
      if (!stop_.is_ok()) {
        fail_all(stop_);
        more = false;
      }
      ended.swap(ended_);
    }
    for (auto& [on_end, call] : ended) on_end(call);
  }
  ::shutdown(fd_.get(), SHUT_RDWR);  // calls may hold this object, and so the socket, for longer
  const std::lock_guard lock(mutex_);
  is_finished_ = true;
}

void H2Connection::receive(const std::vector<uint8_t>& bytes, ssize_t got, int error) {
  if (!stop_.is_ok()) return;
  if (got == 0) {
    stop_ = unavailable("containerd closed the connection");
  } else if (got < 0 && error != EAGAIN && error != EINTR) {
    stop_ = unavailable(std::string("the connection broke: ") + std::strerror(error));
  } else if (got > 0) {
    const ssize_t used = nghttp2_session_mem_recv(session_.get(), bytes.data(), static_cast<size_t>(got));
    if (used < 0) stop_ = unavailable(std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(used)));
  }
  if (stop_.is_ok()) flush();
  if (stop_.is_ok() && is_draining_ && calls_.empty()) stop_ = unavailable("containerd ended the connection");
}

// ---- With the mutex held ----

H2CallPtr H2Connection::find(int32_t stream_id) {
  const auto at = calls_.find(stream_id);
  return at == calls_.end() ? nullptr : at->second;
}

// Sends what nghttp2 has. What the socket does not take now the thread sends later. A failure is left to the
// thread too, so that callbacks run only there.
void H2Connection::flush() {
  while (true) {
    if (out_sent_ == out_.size()) {
      out_.clear();
      out_sent_ = 0;
      while (out_.size() < kBatchBytes) {
        const uint8_t* frame = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session_.get(), &frame);
        if (size <= 0) break;
        out_.append(reinterpret_cast<const char*>(frame), static_cast<size_t>(size));
      }
    }
    if (out_.empty()) {
      wants_write_ = false;
      return;
    }
    const ssize_t sent =
        ::send(fd_.get(), out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      wants_write_ = errno == EAGAIN;
      if (!wants_write_) ::shutdown(fd_.get(), SHUT_RDWR);  // the thread sees the end
      ::eventfd_write(wake_.get(), 1);
      return;
    }
    out_sent_ += static_cast<size_t>(sent);
  }
}

void H2Connection::finish(const H2CallPtr& call, Status end) {
  calls_.erase(call->stream_id);
  call->ended = true;
  call->end = std::move(end);
  if (call->on_end) ended_.emplace_back(std::exchange(call->on_end, nullptr), call);
  call->changed.notify_all();
}

void H2Connection::fail_all(const Status& why) {
  while (!calls_.empty()) finish(H2CallPtr(calls_.begin()->second), why);
}

void H2Connection::on_data(const H2CallPtr& call, std::string_view bytes) {
  if (call->messages.empty()) {
    nghttp2_session_consume_stream(session_.get(), call->stream_id, bytes.size());
  } else {
    call->held += bytes.size();  // given back when the reader has caught up
  }
  call->partial += bytes;
  while (call->partial.size() >= kPrefixBytes) {
    const size_t length = message_length(call->partial);
    if (call->partial[0] != 0 || length > kMaxMessageBytes) {
      nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
      finish(call, {Code::kResourceExhausted, "a message is compressed or has more than 16 MiB"});
      return;
    }
    if (call->partial.size() < kPrefixBytes + length) return;
    call->messages.push_back(call->partial.substr(kPrefixBytes, length));
    call->partial.erase(0, kPrefixBytes + length);
    call->changed.notify_all();
  }
}

// ---- For callers ----

std::string H2Connection::frame_of(const std::string& message) {
  std::string frame(kPrefixBytes, '\0');
  for (size_t i = 1; i < kPrefixBytes; ++i) {
    frame[i] = static_cast<char>(message.size() >> (8 * (kPrefixBytes - 1 - i)) & 0xff);
  }
  return frame + message;
}

Result<H2CallPtr> H2Connection::begin(const H2Headers& headers, std::string frame, bool last,
                                      H2Call::OnEnd on_end) {
  auto call = std::make_shared<H2Call>();
  call->outgoing = std::move(frame);
  call->last_written = last;
  call->on_end = std::move(on_end);
  std::vector<nghttp2_nv> fields;
  for (const auto& header : headers) fields.push_back(header_of(header));
  nghttp2_data_provider provider{};
  provider.read_callback = H2Callbacks::read;
  const std::lock_guard lock(mutex_);
  if (!stop_.is_ok()) return stop_;
  const int32_t id =
      nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.size(), &provider, nullptr);
  if (id < 0) {
    is_draining_ = true;  // stream ids used up, or going away: the next call gets a new connection
    return unavailable(std::string("HTTP/2: ") + nghttp2_strerror(id));
  }
  call->stream_id = id;
  calls_.emplace(id, call);
  flush();
  return call;
}

void H2Connection::write(const H2CallPtr& call, const std::string& frame, bool last) {
  const std::lock_guard lock(mutex_);
  if (call->ended) return;
  call->outgoing += frame;
  call->last_written = last;
  if (std::exchange(call->is_deferred, false)) nghttp2_session_resume_data(session_.get(), call->stream_id);
  flush();
}

Status H2Connection::wait(const Call& caller, const H2CallPtr& call, const std::function<bool()>& done) {
  std::unique_lock lock(mutex_);
  return wait_for(lock, call->changed, caller, done);
}

bool H2Connection::take(const H2CallPtr& call, std::string& message) {
  const std::lock_guard lock(mutex_);
  if (call->messages.empty()) return false;
  message = std::move(call->messages.front());
  call->messages.pop_front();
  if (call->messages.empty() && call->held != 0 && !call->ended) {
    nghttp2_session_consume_stream(session_.get(), call->stream_id, std::exchange(call->held, 0));
    flush();
  }
  return true;
}

void H2Connection::cancel(const H2CallPtr& call, const Status& why) {
  H2Call::OnEnd dropped;  // what it holds is freed outside the mutex
  const std::lock_guard lock(mutex_);
  if (call->ended) return;
  dropped = std::exchange(call->on_end, nullptr);
  finish(call, why);
  if (!stop_.is_ok()) return;
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
  flush();
}

}  // namespace pouch::ctrd
