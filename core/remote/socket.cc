#include "core/remote/socket.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace pouch::remote {
namespace {

constexpr size_t kReceiveBytes = size_t{64} << 10U;
constexpr int kMaxPollMs = 60'000;

}  // namespace

Socket::Socket(Address address, std::string op)
    : address_(std::move(address)), op_(std::move(op)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Status Socket::broken(CURLcode code) const {
  long os_error = 0;
  net::curl().easy_getinfo(handle_.easy.get(), CURLINFO_OS_ERRNO, &os_error);
  const std::string why =
      os_error != 0 ? std::strerror(static_cast<int>(os_error)) : net::curl().easy_strerror(code);
  if (fd_ == CURL_SOCKET_BAD) {
    return address_.connect_error(op_, static_cast<int>(os_error), why);
  }
  return unavailable(op_ + ": the connection to " + address_.uri + " broke: " + why);
}

Status Socket::connect(const Call& call) {
  net::HandlePool maker;  // its connection is never another request's
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<net::CurlHandle> made, maker.take());
  handle_ = std::move(*made);
  CURL* const easy = handle_.easy.get();
  CURLM* const multi = handle_.multi.get();
  net::curl().easy_setopt(easy, CURLOPT_URL, ("http://" + address_.authority + "/").c_str());
  net::curl().easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  net::curl().easy_setopt(easy, CURLOPT_PROXY, "");
  net::curl().easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  net::curl().easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  net::curl().easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
  handle_.end_connections_when_closed();
  if (!address_.socket.empty())
    net::curl().easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, address_.socket.c_str());
  if (net::curl().multi_add_handle(multi, easy) != CURLM_OK)
    return internal_error(op_ + ": libcurl refused to connect");
  const net::CancelLink link(call.cancel, [multi] { net::curl().multi_wakeup(multi); });
  while (true) {
    int running = 0;
    net::curl().multi_perform(multi, &running);
    int left = 0;
    if (const CURLMsg* message = net::curl().multi_info_read(multi, &left); message != nullptr) {
      if (message->data.result != CURLE_OK) return broken(message->data.result);
      net::curl().easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd_);
      return fd_ == CURL_SOCKET_BAD ? broken(CURLE_COULDNT_CONNECT) : Status();
    }
    if (Status status = call.check(); !status.is_ok()) return status.prefix(op_);
    const int timeout = call.deadline.poll_timeout_ms();
    net::curl().multi_poll(multi, nullptr, 0, timeout < 0 ? kMaxPollMs : std::min(timeout, kMaxPollMs),
                           nullptr);
  }
}

Result<size_t> Socket::try_send(std::string_view data) {
  size_t sent = 0;
  const CURLcode code = net::curl().easy_send(handle_.easy.get(), data.data(), data.size(), &sent);
  if (code == CURLE_AGAIN) return size_t{0};
  if (code != CURLE_OK) return broken(code);
  return sent;
}

Result<std::string> Socket::try_receive(bool* ended) {
  std::string buffer(kReceiveBytes, '\0');
  size_t received = 0;
  const CURLcode code = net::curl().easy_recv(handle_.easy.get(), buffer.data(), buffer.size(), &received);
  if (code == CURLE_AGAIN) return std::string();
  if (code != CURLE_OK) return broken(code);
  if (received == 0) *ended = true;
  buffer.resize(received);
  return buffer;
}

void Socket::wait(bool want_write, bool want_read, int other_fd, int timeout_ms) const {
  short events = 0;
  if (want_read) events = static_cast<short>(events | POLLIN);
  if (want_write) events = static_cast<short>(events | POLLOUT);
  std::array<pollfd, 3> fds = {pollfd{wake_.get(), POLLIN, 0}, pollfd{other_fd, POLLIN, 0},
                               pollfd{events == 0 ? -1 : fd_, events, 0}};
  ::poll(fds.data(), fds.size(), timeout_ms);
  if (fds[0].revents != 0) {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
  }
}

Status Socket::send_all(std::string_view data, const Call& call) {
  const net::CancelLink link(call.cancel, [this] { wake(); });
  while (!data.empty()) {
    if (Status status = call.check(); !status.is_ok()) return status.prefix(op_);
    POUCH_ASSIGN_OR_RETURN(const size_t sent, try_send(data));
    data.remove_prefix(sent);
    if (sent == 0) wait(true, false, -1, call.deadline.poll_timeout_ms());
  }
  return {};
}

Result<std::string> Socket::receive(const Call& call) {
  const net::CancelLink link(call.cancel, [this] { wake(); });
  while (true) {
    if (Status status = call.check(); !status.is_ok()) return status.prefix(op_);
    bool ended = false;
    POUCH_ASSIGN_OR_RETURN(std::string bytes, try_receive(&ended));
    if (ended || !bytes.empty()) return bytes;
    wait(false, true, -1, call.deadline.poll_timeout_ms());
  }
}

void Socket::shut_down_write() {
  ::shutdown(fd_, SHUT_WR);
}

void Socket::wake() const {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t wrote = ::write(wake_.get(), &one, sizeof one);
}

}  // namespace pouch::remote
