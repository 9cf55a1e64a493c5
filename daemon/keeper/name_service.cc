#include "daemon/keeper/name_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/sys/net_namespace.h"
#include "core/sys/port_rules.h"
#include "core/sys/secure_dir.h"

namespace pouch::keeper {
namespace {

constexpr const char* kAddress = "127.0.0.11";  // as Docker's
constexpr uint16_t kPort = 53;
constexpr const char* kTable = "pouch_names";  // of the container's network namespace
constexpr int kBacklog = 64;
constexpr int64_t kSoundRunNs = 1'000'000'000;
// Before a child is started again that ended at once, as some before it.
constexpr int kQuickEnds = 3;
constexpr int64_t kPauseMs = 500;
constexpr int kBatch = 64;
constexpr int kLinkBytes = 4 << 20;

struct Listening {
  UniqueFd fd;
  uint16_t port = 0;
};

// In the calling thread's namespace, at any port: 53 of all addresses may be wanted by a name server that
// runs in the container.
Result<Listening> open_socket(int kind) {
  const std::string what = std::string("open the name server's socket ") + kAddress;
  Listening out;
  out.fd.reset(::socket(AF_INET, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.fd.is_valid()) return errno_status(errno, what);
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, kAddress, &address.sin_addr);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(out.fd.get(), generic, size) != 0) return errno_status(errno, what);
  if (kind == SOCK_STREAM && ::listen(out.fd.get(), kBacklog) != 0) return errno_status(errno, what);
  if (::getsockname(out.fd.get(), generic, &size) != 0) return errno_status(errno, what);
  out.port = ntohs(address.sin_port);
  return out;
}

sys::PortRule rule_to(uint8_t protocol, uint16_t port) {
  sys::PortRule rule;
  rule.protocol = protocol;
  rule.host = rule.target = *sys::IpAddress::parse(kAddress);
  rule.host_port = kPort;
  rule.target_port = port;
  return rule;
}

}  // namespace

NameService::NameService(std::string netns_dir, NameDirectory directory)
    : netns_dir_(std::move(netns_dir)), directory_(std::move(directory)) {}

NameService::~NameService() {
  stop();
}

Status NameService::start() {
  POUCH_ASSIGN_OR_RETURN(loop_, sys::EventLoop::create());
  thread_ = start_thread([this] { run(); });
  return {};
}

// The child dies with this thread.
void NameService::run() {
  const Status ended = loop_->run();
  if (!ended.is_ok()) log_error("names", ended.message());
  drop_child();
  sandboxes_.clear();
}

void NameService::stop() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

void NameService::serve(const std::string& sandbox, std::function<void(const Status&)> done) {
  loop_->post(
      [this, sandbox, done = std::move(done)] { done(add(sandbox).prefix("serve names to " + sandbox)); });
}

Result<NameService::Sockets> NameService::open_sockets(const std::string& sandbox) const {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd netns, sys::open_net_namespace(netns_dir_ + "/" + sandbox));
  Sockets sockets;
  POUCH_RETURN_IF_ERROR(sys::in_net_namespace(netns.get(), [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(Listening udp, open_socket(SOCK_DGRAM));
    POUCH_ASSIGN_OR_RETURN(Listening tcp, open_socket(SOCK_STREAM));
    sockets = {std::move(udp.fd), std::move(tcp.fd)};
    return sys::lead_own_packets(kTable, {rule_to(IPPROTO_UDP, udp.port), rule_to(IPPROTO_TCP, tcp.port)});
  }));
  return sockets;
}

Status NameService::add(const std::string& sandbox) {
  if (sandboxes_.contains(sandbox)) return {};
  // Before the pin is looked at, so that its end is not missed.
  POUCH_RETURN_IF_ERROR(watch_pins());
  POUCH_ASSIGN_OR_RETURN(Sockets sockets, open_sockets(sandbox));
  const auto& added = sandboxes_[sandbox] = std::move(sockets);
  const bool was_there = child_.has_value() || is_restarting_;
  if (!was_there) return ensure_child();  // which tells it of all
  if (is_restarting_) return {};
  return tell_child({std::string(dns::kAddMessage), sandbox}, {added.udp.get(), added.tcp.get()});
}

// A socket keeps its namespace, and with it all links in it: when the pin is gone, it must go, too.
Status NameService::watch_pins() {
  if (inotify_.is_valid()) return {};
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(netns_dir_).status());
  UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd.is_valid()) return errno_status(errno, "watch " + quote(netns_dir_));
  if (::inotify_add_watch(fd.get(), netns_dir_.c_str(), IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF) < 0) {
    return errno_status(errno, "watch " + quote(netns_dir_));
  }
  POUCH_RETURN_IF_ERROR(loop_->add(fd.get(), EPOLLIN, [this](uint32_t) { on_pins_changed(); }).status());
  inotify_ = std::move(fd);
  return {};
}

void NameService::on_pins_changed() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  while (::read(inotify_.get(), buffer.data(), buffer.size()) > 0) {
  }
  // Which one does not matter, and the kernel may have lost count.
  std::vector<std::string> gone;
  for (const auto& [sandbox, sockets] : sandboxes_) {
    if (::access((netns_dir_ + "/" + sandbox).c_str(), F_OK) != 0) gone.push_back(sandbox);
  }
  for (const std::string& sandbox : gone) remove(sandbox);
}

void NameService::remove(const std::string& sandbox) {
  sandboxes_.erase(sandbox);
  if (child_) tell_child({std::string(dns::kRemoveMessage), sandbox}).ignore();
}

Status NameService::ensure_child() {
  const Status started = start_child();
  if (started.is_ok()) return {};
  drop_child();
  return started;
}

Status NameService::start_child() {
  std::array<int, 2> ends = {};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return errno_status(errno, "start the name server");
  }
  link_.reset(ends[0]);
  const UniqueFd other(ends[1]);
  // Room for the answers to many containers at once; who may not have it has less.
  for (const int end : ends) ::setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &kLinkBytes, sizeof kLinkBytes);
  sys::SpawnSpec spec;
  spec.program = "/proc/self/exe";
  spec.args = {"--serve-names"};
  spec.stdin_fd = other.get();
  spec.stderr_fd = STDERR_FILENO;
  spec.new_session = true;
  spec.die_with_parent = true;
  POUCH_ASSIGN_OR_RETURN(sys::Child child, sys::Child::spawn(spec));
  child_.emplace(std::move(child));
  child_began_ns_ = boot_now_ns();
  POUCH_ASSIGN_OR_RETURN(child_watch_,
                         loop_->add(child_->pidfd(), EPOLLIN, [this](uint32_t) { on_child_ended(); }));
  POUCH_ASSIGN_OR_RETURN(link_watch_, loop_->add(link_.get(), EPOLLIN, [this](uint32_t) { answer_child(); }));
  for (const auto& [sandbox, sockets] : sandboxes_) {
    POUCH_RETURN_IF_ERROR(
        tell_child({std::string(dns::kAddMessage), sandbox}, {sockets.udp.get(), sockets.tcp.get()}));
  }
  return {};
}

void NameService::drop_child() {
  if (link_watch_ != 0) loop_->remove(std::exchange(link_watch_, 0));
  if (child_watch_ != 0) loop_->remove(std::exchange(child_watch_, 0));
  link_.reset();
  child_.reset();
}

void NameService::on_child_ended() {
  const auto end = child_->wait(Deadline::after_ms(0));
  const std::string how = end.is_ok() ? "with code " + std::to_string(end->code) : end.status().message();
  log_error("names", "the name server ended " + how + "; started again");
  restart_child();
}

void NameService::restart_child() {
  const bool was_sound = boot_now_ns() - child_began_ns_ > kSoundRunNs;
  quick_ends_ = was_sound ? 0 : quick_ends_ + 1;
  drop_child();
  is_restarting_ = true;
  loop_->after_ms(quick_ends_ > kQuickEnds ? kPauseMs : 0, [this] {
    is_restarting_ = false;
    const Status started = ensure_child();
    if (started.is_ok()) return;
    log_error("names", started.message());
    restart_child();
  });
}

// A child that does not read what it is told is of no use.
Status NameService::tell_child(const dns::Words& words, const std::vector<int>& fds) {
  const Status sent = dns::send_packet(link_.get(), words, fds);
  if (sent.code() == Code::kUnavailable) child_->kill(SIGKILL).ignore();
  // Gone, or about to be: the next one is told of all.
  return sent.code() == Code::kUnavailable || sent.code() == Code::kClosed ? Status() : sent;
}

void NameService::answer_child() {
  for (int i = 0; i < kBatch && child_; ++i) {
    const auto packet = dns::receive_packet(link_.get());
    if (packet.is_ok() && !packet->has_value()) return;
    const auto lookup =
        packet.is_ok() ? dns::lookup_of((*packet)->words) : std::optional<std::pair<uint64_t, dns::Lookup>>();
    if (lookup) {
      answer(lookup->first, lookup->second);
      continue;
    }
    // It has ended, or it is not itself any more.
    loop_->remove(std::exchange(link_watch_, 0));
    child_->kill(SIGKILL).ignore();
    return;
  }
}

void NameService::answer(uint64_t number, const dns::Lookup& lookup) {
  dns::LookupAnswer out;
  if (sandboxes_.contains(lookup.sandbox)) {
    auto found = directory_(lookup);
    const std::string failure = found.is_ok() ? std::string() : found.status().message();
    if (!failure.empty() && failure != last_failure_) log_warning("names", "look up a name: " + failure);
    last_failure_ = failure;
    if (found.is_ok()) out = std::move(*found);
  }
  // A child that is flooded with questions may be late in reading answers: one that does not fit is lost, and
  // its client hears of a failure.
  if (child_) dns::send_packet(link_.get(), dns::answer_words(number, out)).ignore();
}

}  // namespace pouch::keeper
