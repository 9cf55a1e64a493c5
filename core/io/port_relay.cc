#include "core/io/port_relay.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <utility>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/io/socket_address.h"

namespace pouch::io {
namespace {

constexpr size_t kConnections = 1024;  // at a time; a connection holds two descriptors
constexpr size_t kExchanges = 1024;
constexpr size_t kBuffer = 64 * 1024;    // bytes of one direction
constexpr size_t kDatagram = 64 * 1024;  // the largest there is
constexpr int64_t kExchangeMs = 90'000;  // of silence; Docker's proxy has the same
constexpr int64_t kExpiryMs = 10'000;
constexpr int kTurns = 64;  // datagrams at a time, so that others have theirs
constexpr int kPieces = 8;  // of a connection, likewise

Result<UniqueFd> connect_to(const RelayTarget& target, int type) {
  POUCH_ASSIGN_OR_RETURN(const sys::IpAddress address, sys::IpAddress::parse(target.address));
  UniqueFd fd(::socket(address.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const SocketAddress where(address, target.port);
  if (!fd.is_valid()) return errno_status(errno, "open a socket");
  if (::connect(fd.get(), where.get(), where.size) == 0 || errno == EINPROGRESS) return fd;
  return errno_status(errno, "connect to " + target.address);
}

}  // namespace

/// Two sockets, and what is on its way between them.
class PortRelay::Connection {
 public:
  Connection(sys::EventLoop& loop, UniqueFd client, UniqueFd server)
      : loop_(loop), client_(std::move(client)), server_(std::move(server)) {}
  ~Connection() {
    loop_.remove(client_watch_);
    loop_.remove(server_watch_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// `over` is called once, from the loop, and may destroy this.
  Status start(std::function<void()> over) {
    over_ = std::move(over);
    POUCH_ASSIGN_OR_RETURN(client_watch_,
                           loop_.add(client_.get(), 0, [this](uint32_t e) { turn(e, client_watch_); }));
    POUCH_ASSIGN_OR_RETURN(
        server_watch_, loop_.add(server_.get(), EPOLLOUT, [this](uint32_t e) { turn(e, server_watch_); }));
    return {};
  }

 private:
  struct Half {
    std::string waiting;
    bool has_ended = false;  ///< no more comes
    bool is_closed = false;  ///< and the other side knows
  };

  // Whether something came. `broken` is set when the connection is.
  static bool take(Half& half, int from, bool& broken) {
    std::array<char, kBuffer> buffer;
    if (!half.waiting.empty() || half.has_ended) return false;
    const ssize_t got = ::recv(from, buffer.data(), buffer.size(), 0);
    if (got < 0) broken = errno != EAGAIN && errno != EINTR;
    half.has_ended = got == 0;
    if (got > 0) half.waiting.assign(buffer.data(), static_cast<size_t>(got));
    return got > 0;
  }

  // What is there until the other side takes no more, but not on and on. False: the connection is broken.
  static bool pump(Half& half, int from, int to) {
    bool broken = false;
    int left = kPieces;
    do {
      if (half.waiting.empty()) continue;
      const ssize_t sent = ::send(to, half.waiting.data(), half.waiting.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
      if (sent > 0) half.waiting.erase(0, static_cast<size_t>(sent));
    } while (take(half, from, broken) && --left > 0);
    if (broken) return false;
    if (half.has_ended && half.waiting.empty() && !half.is_closed) {
      ::shutdown(to, SHUT_WR);
      half.is_closed = true;
    }
    return true;
  }

  bool finish_connect() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(server_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    is_connected_ = error == 0;
    return is_connected_;
  }

  void turn(uint32_t events, sys::EventLoop::WatchId& watched) {
    // A side that has hung up is told of again and again; what it has sent goes with the other side's turns.
    if ((events & EPOLLHUP) != 0 && is_connected_) loop_.remove(std::exchange(watched, 0));
    const bool good = (events & EPOLLERR) == 0 && (is_connected_ || finish_connect()) &&
                      pump(up_, client_.get(), server_.get()) && pump(down_, server_.get(), client_.get());
    if (!good || (up_.is_closed && down_.is_closed)) return std::exchange(over_, nullptr)();
    watch(client_watch_, up_, down_);
    watch(server_watch_, down_, up_);
  }

  // One side of it: where `in` comes from and `out` goes to.
  void watch(sys::EventLoop::WatchId id, const Half& in, const Half& out) {
    const uint32_t reads = in.waiting.empty() && !in.has_ended ? uint32_t{EPOLLIN} : 0;
    const uint32_t writes = out.waiting.empty() ? 0 : uint32_t{EPOLLOUT};
    loop_.set_events(id, reads | writes).ignore();  // it is watched
  }

  sys::EventLoop& loop_;
  UniqueFd client_;
  UniqueFd server_;
  sys::EventLoop::WatchId client_watch_ = 0;
  sys::EventLoop::WatchId server_watch_ = 0;
  Half up_;
  Half down_;
  bool is_connected_ = false;
  std::function<void()> over_;
};

/// With one client of a socket of datagrams.
struct PortRelay::Exchange {
  UniqueFd server;
  sys::EventLoop::WatchId watch = 0;
  Deadline end;
};

PortRelay::PortRelay(sys::EventLoop& loop) : loop_(loop) {}

PortRelay::~PortRelay() {
  for (const auto& [key, exchange] : exchanges_) loop_.remove(exchange->watch);
  if (timer_ != 0) loop_.cancel(timer_);
}

bool PortRelay::accept_all(int listener, const RelayTarget& target) {
  for (;;) {
    UniqueFd client(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.is_valid()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
    }
    if (target.address.empty() || connections_.size() >= kConnections) continue;
    auto server = connect_to(target, SOCK_STREAM);
    if (!server.is_ok()) continue;
    const uint64_t id = next_id_++;
    auto made = std::make_unique<Connection>(loop_, std::move(client), std::move(*server));
    const Status started = made->start([this, id] { connections_.erase(id); });
    if (started.is_ok()) connections_[id] = std::move(made);
  }
}

PortRelay::Exchange* PortRelay::exchange_with(const ExchangeKey& key, const RelayTarget& target) {
  if (const auto found = exchanges_.find(key); found != exchanges_.end()) return found->second.get();
  if (target.address.empty() || exchanges_.size() >= kExchanges) return nullptr;
  auto server = connect_to(target, SOCK_DGRAM);
  if (!server.is_ok()) return nullptr;
  auto made = std::make_unique<Exchange>();
  made->server = std::move(*server);
  auto watch = loop_.add(made->server.get(), EPOLLIN, [this, key](uint32_t) { answer(key); });
  if (!watch.is_ok()) return nullptr;
  made->watch = *watch;
  if (timer_ == 0) timer_ = loop_.after_ms(kExpiryMs, [this] { expire(); });
  return (exchanges_[key] = std::move(made)).get();
}

void PortRelay::take_datagrams(int socket, const RelayTarget& target) {
  std::string datagram(kDatagram, '\0');
  for (int turn = 0; turn < kTurns; ++turn) {
    sockaddr_storage client = {};
    socklen_t size = sizeof client;
    const ssize_t got =
        ::recvfrom(socket, datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&client), &size);
    if (got < 0) return;
    const ExchangeKey key{socket, std::string(reinterpret_cast<const char*>(&client), size)};
    Exchange* exchange = exchange_with(key, target);
    if (exchange == nullptr) continue;
    exchange->end = Deadline::after_ms(kExchangeMs);
    // What is lost is lost, as always with datagrams.
    (void)::send(exchange->server.get(), datagram.data(), static_cast<size_t>(got), MSG_NOSIGNAL);
  }
}

void PortRelay::answer(const ExchangeKey& key) {
  const auto found = exchanges_.find(key);
  if (found == exchanges_.end()) return;
  std::string datagram(kDatagram, '\0');
  const ssize_t got = ::recv(found->second->server.get(), datagram.data(), datagram.size(), 0);
  if (got < 0) return;  // "connection refused" is told here: nobody serves there yet
  found->second->end = Deadline::after_ms(kExchangeMs);
  (void)::sendto(key.first, datagram.data(), static_cast<size_t>(got), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(key.second.data()),
                 static_cast<socklen_t>(key.second.size()));
}

void PortRelay::expire() {
  timer_ = 0;
  for (auto at = exchanges_.begin(); at != exchanges_.end();) {
    if (!at->second->end.has_passed()) {
      ++at;
      continue;
    }
    loop_.remove(at->second->watch);
    at = exchanges_.erase(at);
  }
  if (!exchanges_.empty()) timer_ = loop_.after_ms(kExpiryMs, [this] { expire(); });
}

void PortRelay::forget(int socket) {
  for (auto at = exchanges_.lower_bound({socket, ""}); at != exchanges_.end() && at->first.first == socket;) {
    loop_.remove(at->second->watch);
    at = exchanges_.erase(at);
  }
}

}  // namespace pouch::io
