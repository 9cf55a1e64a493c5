#include "core/dns/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <utility>

namespace pouch::dns {
namespace {

constexpr int kBatch = 32;  // packets of one sandbox before it is another's turn
constexpr int64_t kAcceptAgainMs = 200;

}  // namespace

/// One question after the other: the next is read when the answer is on its way.
class Server::Sandbox::TcpClient {
 public:
  TcpClient(Sandbox& sandbox, uint64_t number, UniqueFd fd)
      : sandbox_(sandbox), loop_(sandbox.server_.loop_), number_(number), fd_(std::move(fd)) {}
  ~TcpClient() {
    if (watch_ != 0) loop_.remove(watch_);
    if (timer_ != 0) loop_.cancel(timer_);
  }
  TcpClient(const TcpClient&) = delete;
  TcpClient& operator=(const TcpClient&) = delete;

  bool start() {
    auto watch = loop_.add(fd_.get(), EPOLLIN, [this](uint32_t events) { on_event(events); });
    if (!watch.is_ok()) return false;
    watch_ = *watch;
    wait_on();
    return true;
  }
  void answer(const std::string& message);

 private:
  void on_event(uint32_t events);
  bool receive();
  bool send_some();
  void ask_next();
  void wait_on();

  Sandbox& sandbox_;
  sys::EventLoop& loop_;
  const uint64_t number_;
  const UniqueFd fd_;
  sys::EventLoop::WatchId watch_ = 0;
  sys::EventLoop::TimerId timer_ = 0;
  StreamReader inbox_;
  std::string outbox_;
  bool is_asking_ = false;
};

void Server::Sandbox::TcpClient::wait_on() {
  if (timer_ != 0) loop_.cancel(timer_);
  timer_ = loop_.after_ms(sandbox_.server_.limits_.tcp_idle_ms, [this] {
    timer_ = 0;
    sandbox_.drop(number_);
  });
}

// False when the client is gone.
bool Server::Sandbox::TcpClient::receive() {
  std::array<char, 16 * 1024> buffer;
  const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  inbox_.feed(std::string_view(buffer.data(), static_cast<size_t>(got)));
  return got > 0;
}

bool Server::Sandbox::TcpClient::send_some() {
  const ssize_t put = ::send(fd_.get(), outbox_.data(), outbox_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put < 0) return errno == EAGAIN || errno == EINTR;
  outbox_.erase(0, static_cast<size_t>(put));
  return true;
}

void Server::Sandbox::TcpClient::on_event(uint32_t events) {
  const bool has_broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  const bool is_there = !outbox_.empty() ? send_some() : receive();
  if (has_broken || !is_there) return sandbox_.drop(number_);
  ask_next();
}

// Only what it says itself puts off its end: a message that comes byte by byte does not.
void Server::Sandbox::TcpClient::ask_next() {
  if (is_asking_ || !outbox_.empty()) return;
  auto message = inbox_.next();
  if (!message) {
    loop_.set_events(watch_, EPOLLIN).ignore();
    return;
  }
  is_asking_ = true;
  wait_on();
  loop_.set_events(watch_, 0).ignore();
  Sandbox& sandbox = sandbox_;
  sandbox.server_.handle(
      sandbox, std::move(*message), true,
      [&sandbox, number = number_](const std::string& answer) { sandbox.answer_tcp(number, answer); });
}

void Server::Sandbox::TcpClient::answer(const std::string& message) {
  is_asking_ = false;
  outbox_ = frame(message);
  wait_on();
  loop_.set_events(watch_, EPOLLOUT).ignore();
}

Server::Sandbox::Sandbox(Server& server, std::string name, UniqueFd udp, UniqueFd tcp)
    : server_(server), name_(std::move(name)), udp_(std::move(udp)), tcp_(std::move(tcp)) {}

Server::Sandbox::~Sandbox() {
  for (const auto watch : {udp_watch_, tcp_watch_}) {
    if (watch != 0) server_.loop_.remove(watch);
  }
  if (accept_timer_ != 0) server_.loop_.cancel(accept_timer_);
}

Status Server::Sandbox::start() {
  // A client may be gone by the time that it is accepted, and another is not to be waited for.
  if (::fcntl(tcp_.get(), F_SETFL, O_NONBLOCK) != 0)
    return errno_status(errno, "set up a socket of " + name_);
  POUCH_ASSIGN_OR_RETURN(udp_watch_,
                         server_.loop_.add(udp_.get(), EPOLLIN, [this](uint32_t) { read_udp(); }));
  POUCH_ASSIGN_OR_RETURN(tcp_watch_,
                         server_.loop_.add(tcp_.get(), EPOLLIN, [this](uint32_t) { accept_tcp(); }));
  return {};
}

void Server::Sandbox::read_udp() {
  std::array<char, kMaxMessage> buffer;
  for (int i = 0; i < kBatch; ++i) {
    sockaddr_in from = {};
    socklen_t length = sizeof from;
    const ssize_t got = ::recvfrom(udp_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;
    server_.handle(*this, std::string(buffer.data(), static_cast<size_t>(got)), false,
                   [this, from](const std::string& answer) { send_udp(from, answer); });
  }
}

// An answer that cannot be sent is lost, as packets may be.
void Server::Sandbox::send_udp(const sockaddr_in& to, const std::string& answer) {
  if (answer.empty()) return;
  ::sendto(udp_.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

void Server::Sandbox::accept_tcp() {
  for (int i = 0; i < kBatch; ++i) {
    UniqueFd fd(::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.is_valid() && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!fd.is_valid() && errno != EAGAIN) return pause_accepting();
    if (!fd.is_valid()) return;
    if (clients_.size() >= server_.limits_.max_tcp_clients) continue;
    const uint64_t number = next_client_++;
    auto client = std::make_unique<TcpClient>(*this, number, std::move(fd));
    if (client->start()) clients_[number] = std::move(client);
  }
}

// Out of descriptors: the socket would be ready all the time.
void Server::Sandbox::pause_accepting() {
  server_.loop_.set_events(tcp_watch_, 0).ignore();
  accept_timer_ = server_.loop_.after_ms(kAcceptAgainMs, [this] {
    accept_timer_ = 0;
    server_.loop_.set_events(tcp_watch_, EPOLLIN).ignore();
  });
}

void Server::Sandbox::answer_tcp(uint64_t client, const std::string& answer) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  answer.empty() ? drop(client) : found->second->answer(answer);
}

void Server::Sandbox::drop(uint64_t client) {
  clients_.erase(client);
}

}  // namespace pouch::dns
