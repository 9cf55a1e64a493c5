#include "core/sys/nf_tables_probe.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/unique_fd.h"

namespace pouch::sys {
namespace {

struct Request {
  nlmsghdr header;
  nfgenmsg body;
};

Status reason(int error) {
  const Code code = error == EPERM || error == EACCES ? Code::kPermissionDenied : Code::kUnavailable;
  return {code, std::strerror(error)};
}

}  // namespace

Status probe_nf_tables() {
  const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd.is_valid()) return reason(errno);
  constexpr timeval kPatience{0, 500'000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.version = NFNETLINK_V0;
  if (::send(fd.get(), &request, sizeof request, 0) < 0) return reason(errno);
  alignas(nlmsghdr) std::array<char, 4096> answer{};
  const ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), 0);
  if (got < 0) return reason(errno == EAGAIN ? ETIMEDOUT : errno);
  nlmsghdr header{};
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != NLMSG_ERROR) return {};
  nlmsgerr error{};
  std::memcpy(&error, answer.data() + NLMSG_HDRLEN, sizeof error);
  return error.error == 0 ? Status() : reason(-error.error);
}

}  // namespace pouch::sys
