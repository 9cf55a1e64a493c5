#include "daemon/http/connection.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace pouch::http {
namespace {

Status closed() {
  return {Code::kClosed, "the client has closed the connection"};
}

}  // namespace

StopSignal::StopSignal() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void StopSignal::set() {
  set_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t wrote = ::write(event_.get(), &one, sizeof one);  // cannot block: set once
}

Result<ssize_t> Connection::fill_now(size_t max) {
  const size_t before = input_.size();
  input_.resize(before + max);
  const ssize_t got = ::recv(fd_.get(), input_.data() + before, max, MSG_DONTWAIT);
  const int error = errno;
  input_.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
  if (got >= 0) return got;
  if (error == EAGAIN || error == EINTR) return ssize_t{-1};
  return closed();
}

Result<bool> Connection::fill(Deadline deadline) {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const ssize_t got, fill_now());
    if (got >= 0) return got > 0;
    std::array<pollfd, 2> fds = {{{fd_.get(), POLLIN, 0}, {stop_->fd(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), deadline.poll_timeout_ms());
    if (ready == 0) return Status(Code::kDeadlineExceeded, "the client was silent for too long");
    if (ready > 0 && fds[1].revents != 0) return unavailable("the server is stopping");
  }
}

Result<size_t> Connection::send_now(std::string_view data) {
  const ssize_t sent = ::send(fd_.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<size_t>(sent);
  if (errno == EAGAIN || errno == EINTR) return size_t{0};
  return closed();
}

Status Connection::send_all(std::string_view data, int64_t stall_ms) {
  Deadline deadline = Deadline::after_ms(stall_ms);
  while (!data.empty()) {
    POUCH_ASSIGN_OR_RETURN(const size_t sent, send_now(data));
    data.remove_prefix(sent);
    if (sent > 0) {
      deadline = Deadline::after_ms(stall_ms);
      continue;
    }
    pollfd writable = {fd_.get(), POLLOUT, 0};
    if (::poll(&writable, 1, deadline.poll_timeout_ms()) == 0) {
      return {Code::kDeadlineExceeded, "the client does not read"};
    }
  }
  return {};
}

void Connection::linger(int64_t ms) {
  ::shutdown(fd_.get(), SHUT_WR);
  const Deadline deadline = Deadline::after_ms(ms);
  while (!deadline.has_passed()) {
    input_.clear();
    const Result<bool> more = fill(deadline);
    if (!more.is_ok() || !*more) break;
  }
  input_.clear();
}

UniqueFd Connection::peer_process() const {
  ucred peer = {};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid <= 0) return {};
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0)));
}

}  // namespace pouch::http
