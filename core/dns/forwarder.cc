#include "core/dns/forwarder.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"

namespace pouch::dns {
namespace {

uint16_t random_id() {
  uint16_t id = 0;
  [[maybe_unused]] const ssize_t got = ::getrandom(&id, sizeof id, 0);
  return id;
}

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t length = 0;
};

uint32_t link_number(const std::string& zone) {
  const auto number = whole_number<uint32_t>(zone);
  return number ? *number : ::if_nametoindex(zone.c_str());
}

SocketAddress socket_address(const ServerAddress& server) {
  SocketAddress out;
  if (server.address.is_v4()) {
    sockaddr_in v4 = {};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(server.port);
    std::memcpy(&v4.sin_addr, server.address.data(), server.address.size());
    std::memcpy(&out.storage, &v4, sizeof v4);
    out.length = sizeof v4;
    return out;
  }
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(server.port);
  std::memcpy(&v6.sin6_addr, server.address.data(), server.address.size());
  if (!server.zone.empty()) v6.sin6_scope_id = link_number(server.zone);
  std::memcpy(&out.storage, &v6, sizeof v6);
  out.length = sizeof v6;
  return out;
}

}  // namespace

Result<ServerAddress> ServerAddress::parse(std::string_view text) {
  ServerAddress server;
  const size_t percent = text.find('%');
  POUCH_ASSIGN_OR_RETURN(server.address, sys::IpAddress::parse(text.substr(0, percent)));
  if (percent != std::string_view::npos) server.zone = text.substr(percent + 1);
  return server;
}

/// One query on its way through the servers.
class Forwarder::Exchange {
 public:
  Exchange(Forwarder& owner, uint64_t number, std::string query, std::vector<ServerAddress> servers,
           bool over_tcp, Done done)
      : done_(std::move(done)),
        owner_(owner),
        number_(number),
        query_(std::move(query)),
        asked_(*read_message(query_)),
        servers_(std::move(servers)),
        over_tcp_(over_tcp) {}
  ~Exchange() { close(); }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void ask_next();

  Done done_;

 private:
  bool connect(const ServerAddress& server);
  bool start(const ServerAddress& server);
  void on_event(uint32_t events);
  void read_udp();
  void read_tcp();
  bool send_tcp();
  bool accept(std::string answer);
  void close();

  Forwarder& owner_;
  const uint64_t number_;
  const std::string query_;
  const Message asked_;  // of query_
  const std::vector<ServerAddress> servers_;
  const bool over_tcp_;
  size_t next_server_ = 0;
  UniqueFd socket_;
  uint16_t id_ = 0;
  std::string unsent_;  // over TCP
  StreamReader inbox_;  // likewise
  sys::EventLoop::WatchId watch_ = 0;
  sys::EventLoop::TimerId timer_ = 0;
};

void Forwarder::Exchange::close() {
  if (watch_ != 0) owner_.loop_.remove(std::exchange(watch_, 0));
  if (timer_ != 0) owner_.loop_.cancel(std::exchange(timer_, 0));
  socket_.reset();
  unsent_.clear();
  inbox_ = {};
}

// Destroys this when no server is left.
void Forwarder::Exchange::ask_next() {
  close();
  while (next_server_ < servers_.size()) {
    if (start(servers_[next_server_++])) return;
    close();
  }
  owner_.finish(number_, {});
}

// A connected socket takes nothing but from whom it is connected to; the kernel chooses its port by chance.
bool Forwarder::Exchange::connect(const ServerAddress& server) {
  const int kind = (over_tcp_ ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  socket_.reset(::socket(server.address.family(), kind, 0));
  if (!socket_.is_valid()) return false;
  const SocketAddress to = socket_address(server);
  const int connected = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length);
  return connected == 0 || errno == EINPROGRESS;
}

bool Forwarder::Exchange::start(const ServerAddress& server) {
  if (!connect(server)) return false;
  id_ = random_id();
  std::string query = query_;
  set_id(query, id_);
  if (over_tcp_) {
    unsent_ = frame(query);
  } else if (::send(socket_.get(), query.data(), query.size(), MSG_NOSIGNAL) < 0) {
    return false;
  }
  const uint32_t events = over_tcp_ ? EPOLLOUT : EPOLLIN;
  auto watch = owner_.loop_.add(socket_.get(), events, [this](uint32_t seen) { on_event(seen); });
  if (!watch.is_ok()) return false;
  watch_ = *watch;
  const bool is_last = next_server_ == servers_.size();
  const int64_t ms = is_last ? owner_.limits_.last_ms : owner_.limits_.try_ms;
  timer_ = owner_.loop_.after_ms(ms, [this] {
    timer_ = 0;
    ask_next();
  });
  return true;
}

void Forwarder::Exchange::on_event(uint32_t events) {
  if (!over_tcp_) return read_udp();
  if (!unsent_.empty()) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 || !send_tcp()) return ask_next();
    return;
  }
  read_tcp();
}

bool Forwarder::Exchange::send_tcp() {
  const ssize_t put = ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
  if (put < 0) return errno == EAGAIN || errno == EINTR;
  unsent_.erase(0, static_cast<size_t>(put));
  return !unsent_.empty() || owner_.loop_.set_events(watch_, EPOLLIN).is_ok();
}

// What does not fit, somebody else may have sent: the server's own is still waited for.
void Forwarder::Exchange::read_udp() {
  std::array<char, kMaxMessage> buffer;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (got >= 0) {
    accept(std::string(buffer.data(), static_cast<size_t>(got)));
    return;
  }
  if (errno != EAGAIN && errno != EINTR) ask_next();  // nobody listens there
}

void Forwarder::Exchange::read_tcp() {
  std::array<char, 16 * 1024> buffer;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return ask_next();
  inbox_.feed(std::string_view(buffer.data(), static_cast<size_t>(got)));
  if (auto answer = inbox_.next(); answer && !accept(std::move(*answer))) ask_next();
}

// Destroys this, or asks the next server, when it is true.
bool Forwarder::Exchange::accept(std::string answer) {
  const auto message = read_message(answer);
  const bool is_ours = message && message->is_response && message->id == id_ &&
                       message->opcode == asked_.opcode &&
                       is_same_question(message->question, asked_.question);
  if (!is_ours) return false;
  const bool has_failed = message->rcode == Rcode::kServFail || message->rcode == Rcode::kRefused;
  if (has_failed) {
    ask_next();
    return true;
  }
  set_id(answer, asked_.id);
  owner_.finish(number_, std::move(answer));
  return true;
}

Forwarder::Forwarder(sys::EventLoop& loop, const ForwarderLimits& limits) : loop_(loop), limits_(limits) {}

Forwarder::~Forwarder() = default;

uint64_t Forwarder::ask(std::string query, std::vector<ServerAddress> servers, bool over_tcp, Done done) {
  const uint64_t number = next_++;
  if (servers.size() > limits_.max_servers) servers.resize(limits_.max_servers);
  exchanges_[number] = std::make_unique<Exchange>(*this, number, std::move(query), std::move(servers),
                                                  over_tcp, std::move(done));
  loop_.after_ms(0, [this, number] {
    const auto found = exchanges_.find(number);
    if (found != exchanges_.end()) found->second->ask_next();
  });
  return number;
}

void Forwarder::cancel(uint64_t number) {
  exchanges_.erase(number);
}

void Forwarder::finish(uint64_t number, std::string answer) {
  const auto found = exchanges_.find(number);
  if (found == exchanges_.end()) return;
  const Done done = std::move(found->second->done_);
  exchanges_.erase(found);
  done(std::move(answer));
}

}  // namespace pouch::dns
