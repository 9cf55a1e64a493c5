#include "core/io/held_ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <utility>

#include "core/base/log.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/io/socket_address.h"
#include "core/sys/ip_net.h"

namespace pouch::io {
namespace {

constexpr char kVaultPrefix[] = "port ";
constexpr int64_t kAcceptAgainMs = 100;  // when there are descriptors again

// As the words of other programs have it, which begin small.
Status bind_error(int error) {
  std::string text = ::strerror(error);
  text.front() = static_cast<char>(::tolower(text.front()));
  const Code code = error == EADDRINUSE || error == EACCES ? Code::kConflict
                    : error == EADDRNOTAVAIL               ? Code::kInvalidArgument
                                                           : Code::kInternal;
  return {code, text};
}

// A socket that is ready and not taken from would keep the loop, which has all containers' output to take,
// turning. What is watched no more meanwhile is unknown to the loop.
void pause_watch(sys::EventLoop& loop, sys::EventLoop::WatchId id) {
  loop.set_events(id, 0).ignore();
  loop.after_ms(kAcceptAgainMs, [&loop, id] { loop.set_events(id, EPOLLIN).ignore(); });
}

bool has_no_protocol(int error) {
  return error == EPROTONOSUPPORT || error == ESOCKTNOSUPPORT || error == EAFNOSUPPORT;
}

bool read_number(const std::string& text, uint16_t& out) {
  const auto number = whole_number<uint16_t>(text);
  if (number) out = *number;
  return number.has_value();
}

}  // namespace

std::string port_text(const HeldPort& port) {
  return port.protocol + " " + port.address + " " + std::to_string(port.port);
}

std::string full_port_text(const HeldPort& port) {
  if (port.target_address.empty()) return port_text(port);
  return port_text(port) + " " + port.target_address + " " + std::to_string(port.target_port);
}

Result<HeldPort> parse_port(const std::string& text) {
  const std::vector<std::string> parts = split(text, ' ');
  const Status bad = invalid_argument("held port " + quote(text) + ": not protocol, address and port");
  HeldPort port;
  if (parts.size() != 3 && parts.size() != 5) return bad;
  port.protocol = parts[0];
  port.address = parts[1];
  const bool is_known = port.protocol == "tcp" || port.protocol == "udp" || port.protocol == "sctp";
  if (!is_known || !sys::IpAddress::parse(port.address).is_ok() || !read_number(parts[2], port.port))
    return bad;
  if (parts.size() == 3) return port;
  port.target_address = parts[3];
  const bool is_good =
      sys::IpAddress::parse(port.target_address).is_ok() && read_number(parts[4], port.target_port);
  return is_good ? Result<HeldPort>(port) : bad;
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
  const SocketAddress where(address, port.port);
  if (::bind(fd.get(), where.get(), where.size) != 0) return bind_error(errno);
  if (!is_udp && ::listen(fd.get(), SOMAXCONN) != 0) return bind_error(errno);
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
  const int fd = socket.fd.get();
  ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
  const auto id = std::make_shared<sys::EventLoop::WatchId>(0);
  const auto come = [this, fd, type, id, target = socket.target](uint32_t) {
    if (type != SOCK_STREAM) return relay_.take_datagrams(fd, *target);
    if (!relay_.accept_all(fd, *target)) pause_watch(loop_, *id);
  };
  POUCH_ASSIGN_OR_RETURN(socket.watch, loop_.add(fd, EPOLLIN, come));
  *id = socket.watch;
  return {};
}

void HeldPorts::drop(const std::string& key, const std::string& port, Socket& socket) {
  if (socket.watch != 0) loop_.remove(socket.watch);
  relay_.forget(socket.fd.get());
  if (vault_ != nullptr) vault_->release(vault_name(key, port));
}

void HeldPorts::lead_to(Socket& socket, const HeldPort& port) {
  if (socket.target->address == port.target_address && socket.target->port == port.target_port) return;
  relay_.forget(socket.fd.get());
  *socket.target = {port.target_address, port.target_port};
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
  for (const HeldPort& port : ports) lead_to(now[port_text(port)], port);
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

void HeldPorts::adopt(const std::string& name, UniqueFd fd) {
  const std::string prefix = kVaultPrefix;
  if (!name.starts_with(prefix)) return;
  const std::string rest = name.substr(prefix.size());
  const size_t blank = rest.find(' ');
  if (blank == std::string::npos) return;
  Socket& socket = held_[rest.substr(0, blank)][rest.substr(blank + 1)];
  socket.fd = std::move(fd);
  if (vault_ != nullptr) vault_->hold(name, {socket.fd.get()});  // this worker's, for whoever comes after it
  if (Status watched = watch(socket); !watched.is_ok()) log_warning("io", watched.message());
}

}  // namespace pouch::io
