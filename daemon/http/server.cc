#include "daemon/http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "daemon/http/connection.h"
#include "daemon/http/listen.h"
#include "daemon/http/wire.h"

namespace pouch::http {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

constexpr std::chrono::milliseconds kAcceptPause{100};  // when descriptors run out

std::chrono::milliseconds ms(int64_t value) {
  return std::chrono::milliseconds(value);
}

// A connection with its parser: between two requests it is the I/O thread's, during one its worker's.
struct Peer {
  Peer(UniqueFd fd, std::shared_ptr<StopSignal> stop) : connection(std::move(fd), std::move(stop)) {}
  Connection connection;
  std::unique_ptr<RequestParser> parser;
};

}  // namespace

struct Server::Impl {
  // A peer that waits for a request head.
  struct Waiting {
    Waiting(asio::io_context& io, std::unique_ptr<Peer> p)
        : peer(std::move(p)), socket(io, peer->connection.fd()), timer(io) {}
    ~Waiting() {
      if (socket.is_open()) socket.release();  // the peer owns it
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    std::unique_ptr<Peer> peer;
    asio::posix::stream_descriptor socket;
    asio::steady_timer timer;
    bool head_begun = false;
  };
  using WaitingPtr = std::shared_ptr<Waiting>;

  struct Door {
    Door(asio::io_context& io, Listener l) : listener(std::move(l)), socket(io, listener.fd()), retry(io) {}
    ~Door() {
      if (socket.is_open()) socket.release();
    }
    Door(const Door&) = delete;
    Door& operator=(const Door&) = delete;
    Listener listener;
    asio::posix::stream_descriptor socket;
    asio::steady_timer retry;
  };

  Impl(ServerOptions o, Handler h)
      : options(std::move(o)), handler(std::move(h)), workers(options.limits.requests + 1) {}

  Status open_doors();
  void accept(Door& door);
  void welcome(UniqueFd fd, bool is_tcp);
  void refuse(Connection& connection);
  void wait_for_head(std::unique_ptr<Peer> peer);
  void arm_timer(const WaitingPtr& waiting, int64_t limit_ms);
  void arm_read(const WaitingPtr& waiting);
  void on_readable(const WaitingPtr& waiting);
  void drop(const WaitingPtr& waiting);
  void start_work(std::unique_ptr<Peer> peer);
  void work(std::unique_ptr<Peer> peer);
  bool serve_one(Peer& peer);
  void answer_bad_head(Peer& peer, const Status& error);
  void stop();

  ServerOptions options;
  Handler handler;
  std::shared_ptr<StopSignal> stop_signal = std::make_shared<StopSignal>();
  asio::io_context io{1};
  std::vector<std::unique_ptr<Door>> doors;
  std::vector<std::string> addresses;
  std::set<WaitingPtr> waiting;  // I/O thread only
  std::thread thread;
  bool stopped = false;

  std::mutex mutex;
  std::condition_variable idle;
  size_t in_work = 0;      // protected by mutex
  size_t connections = 0;  // protected by mutex
  Executor workers;        // last: its threads use the rest
};

Status Server::Impl::open_doors() {
  for (const std::string& uri : options.listen) {
    POUCH_ASSIGN_OR_RETURN(std::vector<Listener> listeners, Listener::open(uri, options.group));
    for (Listener& listener : listeners) {
      if (!listener.is_loopback()) {
        log_warning("http", listener.uri() + ": anyone who can reach this port is root on this host");
      }
      addresses.push_back(listener.uri());
      doors.push_back(std::make_unique<Door>(io, std::move(listener)));
    }
  }
  return {};
}

void Server::Impl::accept(Door& door) {
  door.socket.async_wait(asio::posix::stream_descriptor::wait_read, [this, &door](const ErrorCode& error) {
    if (error) return;
    while (true) {
      UniqueFd fd(::accept4(door.listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd.is_valid()) break;
      welcome(std::move(fd), door.listener.is_tcp());
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      log_warning("http", "accept: out of file descriptors or memory");
      door.retry.expires_after(kAcceptPause);
      door.retry.async_wait([this, &door](const ErrorCode& cancelled) {
        if (!cancelled) accept(door);
      });
      return;
    }
    accept(door);
  });
}

void Server::Impl::welcome(UniqueFd fd, bool is_tcp) {
  if (is_tcp) {
    const int one = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  }
  auto peer = std::make_unique<Peer>(std::move(fd), stop_signal);
  {
    const std::lock_guard lock(mutex);
    if (connections < options.limits.connections) {
      ++connections;
    } else {
      return refuse(peer->connection);
    }
  }
  wait_for_head(std::move(peer));
}

void Server::Impl::refuse(Connection& connection) {
  Response busy = json_response(503, R"({"message":"the server is busy: too many requests at a time"})");
  busy.headers.emplace_back("Content-Length", std::to_string(busy.body.size()));
  busy.headers.emplace_back("Connection", "close");
  connection.send_now(render_head(busy.status, busy.headers) + busy.body).status().ignore();
}

// I/O thread only.
void Server::Impl::wait_for_head(std::unique_ptr<Peer> peer) {
  if (stop_signal->is_set()) {
    const std::lock_guard lock(mutex);
    --connections;
    return;
  }
  peer->parser = std::make_unique<RequestParser>(options.limits.head_bytes);
  auto waiting_peer = std::make_shared<Waiting>(io, std::move(peer));
  waiting.insert(waiting_peer);
  arm_timer(waiting_peer, options.limits.idle_ms);
  on_readable(waiting_peer);
}

void Server::Impl::arm_timer(const WaitingPtr& waiting_peer, int64_t limit_ms) {
  waiting_peer->timer.expires_after(ms(limit_ms));
  waiting_peer->timer.async_wait([this, waiting_peer](const ErrorCode& error) {
    if (!error) drop(waiting_peer);
  });
}

void Server::Impl::arm_read(const WaitingPtr& waiting_peer) {
  waiting_peer->socket.async_wait(asio::posix::stream_descriptor::wait_read,
                                  [this, waiting_peer](const ErrorCode& error) {
                                    if (!error) on_readable(waiting_peer);
                                  });
}

void Server::Impl::on_readable(const WaitingPtr& waiting_peer) {
  if (!waiting.contains(waiting_peer)) return;
  Peer& peer = *waiting_peer->peer;
  const Result<ssize_t> got = peer.connection.fill_now();
  const bool is_end = !got.is_ok() || *got == 0;
  Result<bool> whole = false;
  const bool has_bytes = !peer.connection.input().empty();
  if (has_bytes) whole = peer.parser->parse_head(peer.connection.input());
  const bool is_ready = !whole.is_ok() || *whole;
  if (!is_ready) {
    if (is_end) return drop(waiting_peer);
    if (!waiting_peer->head_begun && has_bytes) {
      waiting_peer->head_begun = true;
      arm_timer(waiting_peer, options.limits.head_ms);
    }
    return arm_read(waiting_peer);
  }
  waiting_peer->timer.cancel();
  waiting_peer->socket.release();
  waiting.erase(waiting_peer);
  std::unique_ptr<Peer> ready = std::move(waiting_peer->peer);
  if (!whole.is_ok()) {
    answer_bad_head(*ready, whole.status());
    const std::lock_guard lock(mutex);
    --connections;
    return;
  }
  start_work(std::move(ready));
}

void Server::Impl::answer_bad_head(Peer& peer, const Status& error) {
  const bool too_large = error.code() == Code::kResourceExhausted;
  Response answer = json_response(too_large ? 431 : 400, error_document(error));
  answer.headers.emplace_back("Content-Length", std::to_string(answer.body.size()));
  answer.headers.emplace_back("Connection", "close");
  peer.connection.send_now(render_head(answer.status, answer.headers) + answer.body).status().ignore();
  ::shutdown(peer.connection.fd(), SHUT_WR);
}

void Server::Impl::drop(const WaitingPtr& waiting_peer) {
  if (waiting.erase(waiting_peer) == 0) return;
  waiting_peer->timer.cancel();
  waiting_peer->socket.release();
  waiting_peer->peer.reset();
  const std::lock_guard lock(mutex);
  --connections;
}

void Server::Impl::start_work(std::unique_ptr<Peer> peer) {
  {
    const std::lock_guard lock(mutex);
    if (in_work >= options.limits.requests) {
      --connections;
      return refuse(peer->connection);
    }
    ++in_work;
  }
  // std::function wants a copyable closure.
  auto shared = std::make_shared<std::unique_ptr<Peer>>(std::move(peer));
  workers.submit([this, shared] { work(std::move(*shared)); });
}

void Server::Impl::work(std::unique_ptr<Peer> peer) {
  bool keeps_alive = serve_one(*peer);
  if (!keeps_alive) {
    peer->connection.linger(options.limits.linger_ms);
    peer.reset();
  }
  {
    const std::lock_guard lock(mutex);
    if (!keeps_alive) --connections;
  }
  if (keeps_alive) {
    auto shared = std::make_shared<std::unique_ptr<Peer>>(std::move(peer));
    asio::post(io, [this, shared] { wait_for_head(std::move(*shared)); });
  }
  const std::lock_guard lock(mutex);
  --in_work;
  idle.notify_all();
}

bool Server::Impl::serve_one(Peer& peer) {
  Exchange exchange(peer.connection, *peer.parser, options.limits);
  handler(exchange);
  return exchange.is_answered() && exchange.keeps_alive();
}

void Server::Impl::stop() {
  if (stopped) return;
  stopped = true;
  stop_signal->set();
  asio::post(io, [this] {
    for (const auto& door : doors) {
      door->retry.cancel();
      door->socket.release();
    }
    doors.clear();  // closes and removes the sockets
    const std::set<WaitingPtr> all = waiting;
    for (const WaitingPtr& waiting_peer : all) drop(waiting_peer);
  });
  std::unique_lock lock(mutex);
  const auto done = [this] { return in_work == 0; };
  if (!idle.wait_for(lock, ms(options.limits.stop_ms), done)) {
    lock.unlock();
    if (options.on_stop_timeout) options.on_stop_timeout();
    lock.lock();
    idle.wait_for(lock, ms(options.limits.stop_ms), done);
  }
  lock.unlock();
  asio::post(io, [this] { io.stop(); });
  if (thread.joinable()) thread.join();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  impl_->stop();
}

void Server::stop() {
  impl_->stop();
}

std::vector<std::string> Server::addresses() const {
  return impl_->addresses;
}

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Handler handler) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler));
  POUCH_RETURN_IF_ERROR(impl->open_doors());
  Impl* raw = impl.get();
  for (const auto& door : raw->doors) raw->accept(*door);
  raw->thread = start_thread([raw] {
    const auto forever = asio::make_work_guard(raw->io);
    raw->io.run();
  });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

}  // namespace pouch::http
