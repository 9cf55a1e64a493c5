#include "core/dns/link.h"

#include <errno.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace pouch::dns {
namespace {

constexpr size_t kMaxPacket = 128 * 1024;
constexpr size_t kMaxFds = 2;

// Room for the descriptors of one packet, aligned as the kernel wants it.
union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int) * kMaxFds)> bytes;
};

void take_fds(msghdr& message, std::vector<UniqueFd>& fds) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    std::array<int, kMaxFds> found{};
    const size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(found.data(), CMSG_DATA(at), count * sizeof(int));
    for (size_t i = 0; i < count; ++i) fds.emplace_back(found.at(i));
  }
}

}  // namespace

Status send_packet(int socket, const Words& words, const std::vector<int>& fds) {
  std::string bytes = pack(words);
  if (bytes.size() > kMaxPacket || fds.size() > kMaxFds) return internal_error("a packet is too large");
  iovec piece = {bytes.data(), bytes.size()};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  Control control = {};
  if (!fds.empty()) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  while (::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) return Status(Code::kClosed, "the other side is gone");
    if (errno == EAGAIN) return unavailable("the other side does not read");
    return errno_status(errno, "send a packet");
  }
  return {};
}

Result<std::optional<Packet>> receive_packet(int socket) {
  std::string bytes(kMaxPacket, '\0');
  iovec piece = {bytes.data(), bytes.size()};
  Control control = {};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return std::optional<Packet>();
  if (got == 0 || (got < 0 && errno == ECONNRESET)) return Status(Code::kClosed, "the other side is gone");
  if (got < 0) return errno_status(errno, "receive a packet");
  Packet packet;
  take_fds(message, packet.fds);
  const auto words = unpack(std::string_view(bytes).substr(0, static_cast<size_t>(got)));
  if (!words || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Status(Code::kDataLoss, "receive a packet: it is none");
  }
  packet.words = *words;
  return std::optional<Packet>(std::move(packet));
}

}  // namespace pouch::dns
