#include "core/io/held_ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <charconv>
#include <utility>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/sys/ip_net.h"

namespace pouch::io {
namespace {

constexpr char kVaultPrefix[] = "port ";

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
};

SocketAddress socket_address(const sys::IpAddress& address, uint16_t port) {
  SocketAddress out;
  if (address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    ::memcpy(&v4->sin_addr, address.data(), address.size());
    out.size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    ::memcpy(&v6->sin6_addr, address.data(), address.size());
    out.size = sizeof *v6;
  }
  return out;
}

// As the words of other programs have it, which begin small.
Status bind_error(int error) {
  std::string text = ::strerror(error);
  text.front() = static_cast<char>(::tolower(text.front()));
  const Code code = error == EADDRINUSE || error == EACCES ? Code::kConflict
                    : error == EADDRNOTAVAIL               ? Code::kInvalidArgument
                                                           : Code::kInternal;
  return {code, text};
}

bool has_no_protocol(int error) {
  return error == EPROTONOSUPPORT || error == ESOCKTNOSUPPORT || error == EAFNOSUPPORT;
}

void close_all_that_come(int listener) {
  for (;;) {
    const UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.is_valid() && errno != EINTR && errno != ECONNABORTED) return;
  }
}

}  // namespace

std::string port_text(const HeldPort& port) {
  return port.protocol + " " + port.address + " " + std::to_string(port.port);
}

Result<HeldPort> parse_port(const std::string& text) {
  const std::vector<std::string> parts = split(text, ' ');
  HeldPort port;
  if (parts.size() == 3) {
    port.protocol = parts[0];
    port.address = parts[1];
    const std::string& number = parts[2];
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), port.port);
    const bool is_known = port.protocol == "tcp" || port.protocol == "udp" || port.protocol == "sctp";
    const bool is_number = error == std::errc() && end == number.data() + number.size();
    if (is_known && is_number && sys::IpAddress::parse(port.address).is_ok()) return port;
  }
  return invalid_argument("held port " + quote(text) + ": not protocol, address and port");
}

Result<UniqueFd> bind_port(const HeldPort& port) {
  POUCH_ASSIGN_OR_RETURN(const sys::IpAddress address, sys::IpAddress::parse(port.address));
  const bool is_udp = port.protocol == "udp";
  const int type = (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  UniqueFd fd(::socket(address.family(), type, port.protocol == "sctp" ? IPPROTO_SCTP : 0));
  if (!fd.is_valid()) return has_no_protocol(errno) ? Result<UniqueFd>(UniqueFd()) : bind_error(errno);
  const int on = 1;
  // A port of IPv4 and one of IPv6 are two; and connections that linger are not in the way.
  if (!address.is_v4()) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (!is_udp) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const SocketAddress where = socket_address(address, port.port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where.storage), where.size) != 0) {
    return bind_error(errno);
  }
  if (!is_udp && ::listen(fd.get(), SOMAXCONN) != 0) return bind_error(errno);
  // Nothing is read from it: what comes all the same must not pile up.
  const int least = 1;
  if (is_udp) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
  return fd;
}

HeldPorts::~HeldPorts() {
  for (auto& [key, sockets] : held_) {
    for (auto& [port, socket] : sockets) {
      if (socket.watch != 0) loop_.remove(socket.watch);
    }
  }
}

std::string HeldPorts::vault_name(const std::string& key, const std::string& port) const {
  return kVaultPrefix + key + " " + port;
}

Status HeldPorts::watch(Socket& socket) {
  int type = 0;
  socklen_t size = sizeof type;
  ::getsockopt(socket.fd.get(), SOL_SOCKET, SO_TYPE, &type, &size);
  if (type != SOCK_STREAM) return {};
  const int fd = socket.fd.get();
  POUCH_ASSIGN_OR_RETURN(socket.watch, loop_.add(fd, EPOLLIN, [fd](uint32_t) { close_all_that_come(fd); }));
  return {};
}

void HeldPorts::drop(const std::string& key, const std::string& port, Socket& socket) {
  if (socket.watch != 0) loop_.remove(socket.watch);
  if (vault_ != nullptr) vault_->release(vault_name(key, port));
}

HoldAnswer HeldPorts::hold(const std::string& key, const std::vector<HeldPort>& ports) {
  const auto before = held_.find(key);
  Sockets fresh;
  std::vector<std::string> wanted;
  for (size_t i = 0; i < ports.size(); ++i) {
    wanted.push_back(port_text(ports[i]));
    if (before != held_.end() && before->second.contains(wanted.back())) continue;
    auto bound = bind_port(ports[i]);
    if (!bound.is_ok()) return {static_cast<int>(i), bound.status()};
    fresh[wanted.back()].fd = std::move(*bound);
  }
  Sockets now;
  for (const std::string& port : wanted) {
    const auto old = before == held_.end() ? Sockets::iterator() : before->second.find(port);
    if (before != held_.end() && old != before->second.end()) {
      now.insert(before->second.extract(old));
    } else if (const auto made = fresh.find(port); made != fresh.end()) {
      now.insert(fresh.extract(made));
      Socket& socket = now[port];
      if (!socket.fd.is_valid()) continue;
      if (Status watched = watch(socket); !watched.is_ok()) log_warning("io", watched.message());
      if (vault_ != nullptr) vault_->hold(vault_name(key, port), {socket.fd.get()});
    }
  }
  release(key);
  if (!now.empty()) held_[key] = std::move(now);
  return {};
}

void HeldPorts::release(const std::string& key) {
  const auto found = held_.find(key);
  if (found == held_.end()) return;
  for (auto& [port, socket] : found->second) drop(key, port, socket);
  held_.erase(found);
}

void HeldPorts::adopt(const std::string& name, int fd) {
  const std::string prefix = kVaultPrefix;
  if (!name.starts_with(prefix)) return;
  const std::string rest = name.substr(prefix.size());
  const size_t blank = rest.find(' ');
  if (blank == std::string::npos) return;
  Socket& socket = held_[rest.substr(0, blank)][rest.substr(blank + 1)];
  socket.fd = UniqueFd(fd);
  if (Status watched = watch(socket); !watched.is_ok()) log_warning("io", watched.message());
}

}  // namespace pouch::io
