#include "daemon/keeper/vault.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <utility>

#include "core/base/log.h"
#include "core/base/text.h"

namespace pouch::keeper {
namespace {

constexpr char kHold = 'H';
constexpr char kRelease = 'R';
constexpr size_t kMaxFds = 2;  // stdout, stderr

struct alignas(cmsghdr) Control {
  std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> bytes = {};
};

std::vector<UniqueFd> descriptors_of(msghdr& message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      ::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

void VaultClient::send(char verb, const std::string& stream_id, const std::vector<int>& fds) {
  std::string text = verb + stream_id;
  iovec data = {text.data(), text.size()};
  Control control;
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    const size_t bytes = fds.size() * sizeof(int);
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(bytes);
    ::memcpy(CMSG_DATA(part), fds.data(), bytes);
  }
  // Never waiting: a supervisor that hangs takes none of these, and output comes first.
  if (::sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    log_warning(
        "keeper",
        errno_status(errno, "hand descriptors of " + quote(stream_id) + " to the supervisor").message());
  }
}

void VaultClient::hold(const std::string& stream_id, const std::vector<int>& fds) {
  const std::lock_guard lock(mutex_);
  held_[stream_id] = fds;
  send(kHold, stream_id, fds);
}

void VaultClient::release(const std::string& stream_id) {
  const std::lock_guard lock(mutex_);
  held_.erase(stream_id);
  send(kRelease, stream_id, {});
}

void VaultClient::visit(const std::function<void(const Holdings&)>& visitor) const {
  const std::lock_guard lock(mutex_);
  visitor(held_);
}

Result<Vault> Vault::create(Holdings held) {
  std::array<int, 2> ends = {};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return errno_status(errno, "create socket pair");
  }
  Vault vault;
  vault.own_end_.reset(ends[0]);
  vault.worker_end_.reset(ends[1]);
  vault.held_ = std::move(held);
  return vault;
}

std::vector<std::pair<std::string, int>> Vault::inherit() {
  std::vector<std::pair<std::string, int>> all;
  for (auto& [name, fds] : held_) {
    for (UniqueFd& fd : fds) all.emplace_back(name, fd.release());
  }
  held_.clear();
  own_end_.reset();
  return all;
}

void Vault::receive_all() {
  while (receive_one()) {
  }
}

bool Vault::receive_one() {
  std::array<char, 256> text = {};
  iovec data = {text.data(), text.size()};
  Control control;
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  const ssize_t got = ::recvmsg(own_end_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got <= 0) return false;
  std::vector<UniqueFd> fds = descriptors_of(message);
  const std::string stream_id(text.data() + 1, static_cast<size_t>(got) - 1);
  if (text[0] == kHold) held_[stream_id] = std::move(fds);
  if (text[0] == kRelease) held_.erase(stream_id);
  return true;
}

}  // namespace pouch::keeper
