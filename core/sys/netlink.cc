#include "core/sys/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/fault.h"

namespace pouch::sys {
namespace {

constexpr size_t kReceiveSize = size_t{64} << 10;
constexpr int kSendSize = 4 << 20;  // for a large nftables batch
constexpr time_t kPatienceSeconds = 10;

// The text of an extended ack: attributes after the request's header, which NETLINK_CAP_ACK cuts off.
std::string extended_text(const nlmsghdr* message) {
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
  size_t offset = sizeof(nlmsgerr);
  if ((message->nlmsg_flags & NLM_F_CAPPED) == 0) {
    offset += error->msg.nlmsg_len - std::min<uint32_t>(error->msg.nlmsg_len, NLMSG_HDRLEN);
  }
  std::string text;
  each_attribute(message, offset, [&](const nlattr* attr) {
    if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG) text = mnl_attr_get_str(attr);
  });
  return text;
}

Status error_of(const nlmsghdr* message, std::string_view what) {
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
  if (error->error == 0) return {};
  const Status status = errno_status(-error->error, what);
  const Code code = error->error == -ENODEV ? Code::kNotFound : status.code();
  const std::string text = extended_text(message);
  return {code, text.empty() ? status.message() : status.message() + " (" + text + ")"};
}

}  // namespace

namespace {

// Casts a callback through libmnl's C interface.
int call_each(const nlattr* attr, void* each) {
  (*static_cast<const std::function<void(const nlattr*)>*>(each))(attr);
  return MNL_CB_OK;
}

}  // namespace

void each_attribute(const nlmsghdr* message, size_t header, const std::function<void(const nlattr*)>& each) {
  mnl_attr_parse(message, static_cast<unsigned>(header), call_each,
                 const_cast<void*>(static_cast<const void*>(&each)));
}

void each_nested(const nlattr* outer, const std::function<void(const nlattr*)>& each) {
  mnl_attr_parse_nested(outer, call_each, const_cast<void*>(static_cast<const void*>(&each)));
}

NetlinkMessage::NetlinkMessage(uint16_t type, uint16_t flags)
    : buffer_(std::make_unique<uint64_t[]>(kSize / sizeof(uint64_t))),
      head_(mnl_nlmsg_put_header(buffer_.get())) {
  head_->nlmsg_type = type;
  head_->nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST);
}

void* NetlinkMessage::extra_header(size_t size) {
  return mnl_nlmsg_put_extra_header(head_, size);
}

NetlinkMessage& NetlinkMessage::put(uint16_t type, uint32_t value) {
  mnl_attr_put_u32_check(head_, kSize, type, value);
  return *this;
}

NetlinkMessage& NetlinkMessage::put(uint16_t type, std::string_view text) {
  mnl_attr_put_strz_check(head_, kSize, type, std::string(text).c_str());
  return *this;
}

NetlinkMessage& NetlinkMessage::put_bytes(uint16_t type, const void* data, size_t size) {
  mnl_attr_put_check(head_, kSize, type, size, data);
  return *this;
}

NetlinkMessage& NetlinkMessage::nest(uint16_t type, const std::function<void()>& inside) {
  nlattr* attr = mnl_attr_nest_start_check(head_, kSize, type);
  if (attr == nullptr) return *this;
  inside();
  mnl_attr_nest_end(head_, attr);
  return *this;
}

void* NetlinkMessage::raw(size_t size) {
  void* at = mnl_nlmsg_get_payload_tail(head_);
  const size_t aligned = (size + 3) & ~size_t{3};
  head_->nlmsg_len += static_cast<uint32_t>(aligned);
  std::memset(at, 0, aligned);
  return at;
}

void NetlinkSocket::Close::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

Result<NetlinkSocket> NetlinkSocket::open(Bus bus) {
  const int number = bus == Bus::kRoute ? NETLINK_ROUTE : NETLINK_NETFILTER;
  mnl_socket* raw = mnl_socket_open2(number, SOCK_CLOEXEC);
  if (raw == nullptr) return errno_status(errno, "open a netlink socket");
  NetlinkSocket socket(raw);
  if (mnl_socket_bind(raw, 0, MNL_SOCKET_AUTOPID) != 0) return errno_status(errno, "bind a netlink socket");
  // Older kernels lack them; then errors are numbers only.
  int on = 1;
  mnl_socket_setsockopt(raw, NETLINK_EXT_ACK, &on, sizeof on);
  mnl_socket_setsockopt(raw, NETLINK_CAP_ACK, &on, sizeof on);
  const int fd = mnl_socket_get_fd(raw);
  const timeval patience{kPatienceSeconds, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendSize, sizeof kSendSize);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kSendSize, sizeof kSendSize);
  return socket;
}

Status NetlinkSocket::send(const void* data, size_t size, std::string_view what) {
  while (mnl_socket_sendto(socket_.get(), data, size) < 0) {
    if (errno != EINTR) return errno_status(errno, what);
  }
  return {};
}

Status NetlinkSocket::request(NetlinkMessage& message, std::string_view step, std::string_view what) {
  message.get()->nlmsg_flags |= NLM_F_ACK;
  message.get()->nlmsg_seq = next_sequence();
  return with_faults(
      step, [&] { return batch(message.get(), message.get()->nlmsg_len, sequence_, sequence_, what); });
}

Status NetlinkSocket::batch(const void* data, size_t size, uint32_t first, uint32_t acked,
                            std::string_view what) {
  POUCH_RETURN_IF_ERROR(send(data, size, what));
  alignas(nlmsghdr) std::array<char, 8192> buffer;
  while (true) {
    const ssize_t received = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return errno_status(errno, std::string(what) + ": wait for the kernel's answer");
    int left = static_cast<int>(received);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
      // What an earlier batch left: one that fails is answered by any number of errors.
      if (message->nlmsg_type != NLMSG_ERROR || message->nlmsg_seq < first) continue;
      const Status status = error_of(message, what);
      if (!status.is_ok() || message->nlmsg_seq == acked) return status;
    }
  }
}

Status NetlinkSocket::query(NetlinkMessage& message, std::string_view what,
                            const std::function<void(const nlmsghdr*)>& each) {
  std::vector<char> buffer(kReceiveSize);
  const bool dumps = (message.get()->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  message.get()->nlmsg_seq = next_sequence();
  POUCH_RETURN_IF_ERROR(send(message.get(), message.get()->nlmsg_len, what));
  while (true) {
    const ssize_t received = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return errno_status(errno, std::string(what) + ": wait for the kernel's answer");
    int left = static_cast<int>(received);
    const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; mnl_nlmsg_ok(answer, left); answer = mnl_nlmsg_next(answer, &left)) {
      if (answer->nlmsg_seq != sequence_) continue;  // of an earlier request that failed half-way
      if (answer->nlmsg_type == NLMSG_DONE) return {};
      if (answer->nlmsg_type == NLMSG_ERROR) return error_of(answer, what);
      each(answer);
      if (!dumps) return {};
    }
  }
}

}  // namespace pouch::sys
