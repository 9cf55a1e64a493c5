#include "daemon/http/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "core/base/scope_guard.h"
#include "core/base/text.h"

namespace pouch::http {
namespace {

constexpr int kBacklog = 512;
constexpr mode_t kSocketMode = 0660;

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/' || path.size() >= sizeof address.sun_path) {
    return invalid_argument("listen on unix socket " + quote(path) + ": needs an absolute path of at most " +
                            std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

UniqueFd new_socket(int family) {
  return UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

template <class Address>
const sockaddr* as_sockaddr(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);  // the socket API's own polymorphism
}

// Removes the file of a server that no longer listens.
Status remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) return {};
  const std::string what = "listen on unix socket " + quote(path);
  if (!S_ISSOCK(info.st_mode)) return conflict(what + ": the path exists and is no socket");
  const UniqueFd probe = new_socket(AF_UNIX);
  if (::connect(probe.get(), as_sockaddr(address), sizeof address) == 0 || errno == EAGAIN) {
    return conflict(what + ": another server listens there");
  }
  if (errno != ECONNREFUSED) return errno_status(errno, what);
  return ::unlink(path.c_str()) == 0 || errno == ENOENT ? Status() : errno_status(errno, what);
}

std::string address_text(const sockaddr_storage& address, socklen_t length) {
  char host[NI_MAXHOST] = {};
  char port[NI_MAXSERV] = {};
  ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
  const std::string name = address.ss_family == AF_INET6 ? "[" + std::string(host) + "]" : host;
  return "tcp://" + name + ":" + port;
}

bool is_loopback_address(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(v4.sin_addr.s_addr) >> 24U) == 127;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
}

}  // namespace

Result<std::vector<Listener>> Listener::open(const std::string& uri, std::optional<gid_t> group) {
  if (uri.starts_with("unix://")) {
    POUCH_ASSIGN_OR_RETURN(Listener listener, open_unix(uri.substr(7), group));
    std::vector<Listener> all;
    all.push_back(std::move(listener));
    return all;
  }
  if (uri.starts_with("tcp://")) return open_tcp(uri, std::string_view(uri).substr(6));
  return invalid_argument("listen on " + quote(uri) + ": expected unix:///path or tcp://host:port");
}

Result<Listener> Listener::open_unix(const std::string& path, std::optional<gid_t> group) {
  POUCH_ASSIGN_OR_RETURN(const sockaddr_un address, unix_address(path));
  const std::string what = "listen on unix socket " + quote(path);
  POUCH_RETURN_IF_ERROR(remove_stale(path, address));
  Listener listener(new_socket(AF_UNIX), "unix://" + path);
  if (::bind(listener.fd(), as_sockaddr(address), sizeof address) != 0) return errno_status(errno, what);
  listener.path_ = path;
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) return errno_status(errno, what);
  listener.device_ = info.st_dev;
  listener.inode_ = info.st_ino;
  // Nobody can connect before listen(), so the mode is right when it matters.
  if (group && ::chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) return errno_status(errno, what);
  if (::chmod(path.c_str(), kSocketMode) != 0) return errno_status(errno, what);
  if (::listen(listener.fd(), kBacklog) != 0) return errno_status(errno, what);
  return listener;
}

Result<std::vector<Listener>> Listener::open_tcp(const std::string& uri, std::string_view address) {
  const std::string what = "listen on " + quote(uri);
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return invalid_argument(what + ": the port is missing");
  std::string host(address.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty()) host = "127.0.0.1";  // who wants all interfaces says so
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error =
          ::getaddrinfo(host.c_str(), std::string(address.substr(colon + 1)).c_str(), &hints, &found);
      error != 0) {
    return invalid_argument(what + ": " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  std::vector<Listener> all;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Listener listener(new_socket(at->ai_family), uri);
    const int one = 1;
    ::setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (at->ai_family == AF_INET6) ::setsockopt(listener.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (::bind(listener.fd(), at->ai_addr, at->ai_addrlen) != 0) return errno_status(errno, what);
    if (::listen(listener.fd(), kBacklog) != 0) return errno_status(errno, what);
    sockaddr_storage bound = {};
    socklen_t length = sizeof bound;
    ::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&bound), &length);
    listener.uri_ = address_text(bound, length);
    listener.loopback_ = is_loopback_address(bound);
    all.push_back(std::move(listener));
  }
  return all;
}

Listener::~Listener() {
  if (!fd_.is_valid() || path_.empty()) return;
  struct stat info = {};
  if (::lstat(path_.c_str(), &info) != 0 || info.st_dev != device_ || info.st_ino != inode_) return;
  ::unlink(path_.c_str());
}

}  // namespace pouch::http
