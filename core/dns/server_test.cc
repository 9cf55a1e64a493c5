#include "core/dns/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "core/base/executor.h"

namespace pouch::dns {
namespace {

constexpr int kWaitMs = 10'000;
constexpr const char* kNothing = "nothing came";

struct Endpoint {
  UniqueFd fd;
  sockaddr_in address = {};
};

Endpoint open_socket(int kind) {
  Endpoint out;
  out.fd.reset(::socket(AF_INET, kind | SOCK_CLOEXEC, 0));
  out.address.sin_family = AF_INET;
  out.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof out.address;
  EXPECT_EQ(::bind(out.fd.get(), reinterpret_cast<sockaddr*>(&out.address), length), 0);
  ::getsockname(out.fd.get(), reinterpret_cast<sockaddr*>(&out.address), &length);
  if (kind == SOCK_STREAM) ::listen(out.fd.get(), 16);
  return out;
}

bool is_readable(int fd, int ms = kWaitMs) {
  pollfd item = {fd, POLLIN, 0};
  return ::poll(&item, 1, ms) > 0;
}

std::string receive(int fd) {
  std::array<char, kMaxMessage> buffer;
  if (!is_readable(fd)) return kNothing;
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (got < 0) return errno == ECONNRESET ? "" : "an error";
  return {buffer.data(), static_cast<size_t>(got)};
}

UniqueFd connect_to(const Endpoint& to, int kind) {
  UniqueFd fd(::socket(AF_INET, kind | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to.address), sizeof to.address), 0);
  return fd;
}

void send_text(int fd, const std::string& text) {
  EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

std::string ask_udp(const Endpoint& server, const std::string& query) {
  const UniqueFd fd = connect_to(server, SOCK_DGRAM);
  send_text(fd.get(), query);
  return receive(fd.get());
}

std::string read_framed(int fd, StreamReader& reader) {
  for (;;) {
    if (auto message = reader.next()) return *message;
    const std::string piece = receive(fd);
    if (piece.empty()) return "closed";
    if (piece == kNothing) return piece;
    reader.feed(piece);
  }
}

std::string read_framed(int fd) {
  StreamReader reader;
  return read_framed(fd, reader);
}

// A server that answers each packet by a function of its own.
class Upstream {
 public:
  explicit Upstream(std::function<std::string(const std::string&)> answer)
      : socket_(open_socket(SOCK_DGRAM)), thread_([this, answer = std::move(answer)] {
          while (!done_) {
            if (!is_readable(socket_.fd.get(), 20)) continue;
            std::array<char, kMaxMessage> buffer;
            sockaddr_in from = {};
            socklen_t length = sizeof from;
            const ssize_t got = ::recvfrom(socket_.fd.get(), buffer.data(), buffer.size(), 0,
                                           reinterpret_cast<sockaddr*>(&from), &length);
            const std::string text = answer(std::string(buffer.data(), static_cast<size_t>(got)));
            asked_ += 1;
            if (text.empty()) continue;
            ::sendto(socket_.fd.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from),
                     length);
          }
        }) {}
  ~Upstream() {
    done_ = true;
    thread_.join();
  }
  ServerAddress address() const {
    return {*sys::IpAddress::parse("127.0.0.1"), "", ntohs(socket_.address.sin_port)};
  }
  int asked() const { return asked_; }

 private:
  Endpoint socket_;
  std::atomic<bool> done_{false};
  std::atomic<int> asked_{0};
  std::thread thread_;
};

std::string answered(const std::string& query, Rcode code = Rcode::kNoError) {
  const auto message = read_message(query);
  return write_answer(*message, code, {address_record(*sys::IpAddress::parse("192.0.2.7"))}, 512);
}

// A server on a loop of its own, whose directory is a function. It is patient: a busy machine may hold up
// both.
class DnsServer : public ::testing::Test {
 protected:
  void SetUp() override {
    limits_.lookup_ms = kPatientMs;
    limits_.tcp_idle_ms = kPatientMs;
    limits_.max_queries = 4;
    set_limits();
    limits_.max_tcp_clients = 2;
    loop_ = std::move(*sys::EventLoop::create());
    udp_ = open_socket(SOCK_DGRAM);
    tcp_ = open_socket(SOCK_STREAM);
    server_ = std::make_unique<Server>(
        *loop_, [this](uint64_t number, const Lookup& lookup) { return look_up(number, lookup); }, limits_);
    ASSERT_TRUE(
        server_->add_sandbox("box", UniqueFd(::dup(udp_.fd.get())), UniqueFd(::dup(tcp_.fd.get()))).is_ok());
    thread_ = start_thread([this] { EXPECT_TRUE(loop_->run().is_ok()); });
  }
  void TearDown() override {
    loop_->stop();
    thread_.join();
    server_.reset();
  }

  virtual void set_limits() {}

  Status look_up(uint64_t number, const Lookup& lookup) {
    EXPECT_EQ(lookup.sandbox, "box");
    if (lookup.name == "later") {
      const std::lock_guard lock(mutex_);
      unanswered_.push_back(number);
      changed_.notify_all();
      return {};
    }
    if (lookup.name == "broken") return unavailable("nobody is there");
    LookupAnswer answer;
    if (lookup.name == "Web" || lookup.name == "many") answer = {AnswerKind::kKnown, {"10.0.0.1", "fd00::1"}};
    for (int i = 0; lookup.name == "many" && i < 300; ++i)
      answer.items.push_back("10.0.1." + std::to_string(i % 250));
    if (lookup.address == "10.0.0.1") answer = {AnswerKind::kKnown, {"web.front"}};
    loop_->post([this, number, answer] { server_->on_answer(number, answer); });
    return {};
  }

  // Once that many wait.
  std::vector<uint64_t> take_unanswered(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::milliseconds(kWaitMs),
                                  [&] { return unanswered_.size() >= count; }));
    return std::exchange(unanswered_, {});
  }

  static constexpr int64_t kPatientMs = 60'000;
  ServerLimits limits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<uint64_t> unanswered_;
  std::unique_ptr<sys::EventLoop> loop_;
  std::unique_ptr<Server> server_;
  Endpoint udp_;
  Endpoint tcp_;
  std::thread thread_;
};

class HastyDnsServer : public DnsServer {
 protected:
  void set_limits() override {
    limits_.lookup_ms = 100;
    limits_.tcp_idle_ms = 100;
  }
};

TEST_F(DnsServer, names_and_addresses) {
  const std::string a = ask_udp(udp_, write_query(1, "Web", kTypeA));
  EXPECT_TRUE(a.ends_with(std::string("\0\x04\x0a\0\0\x01", 6)));
  EXPECT_EQ(read_message(a)->id, 1);
  EXPECT_EQ(text_of(read_message(a)->question.labels), "Web");
  EXPECT_TRUE(ask_udp(udp_, write_query(1, "Web", kTypeAaaa)).ends_with(std::string("\0\x01", 2)));
  const std::string mx = ask_udp(udp_, write_query(1, "Web", kTypeMx));
  EXPECT_EQ(read_message(mx)->rcode, Rcode::kNoError);
  EXPECT_EQ(mx.size(), write_query(1, "Web", kTypeMx).size());
  const std::string ptr = ask_udp(udp_, write_query(1, "1.0.0.10.in-addr.arpa", kTypePtr));
  EXPECT_TRUE(
      ptr.ends_with(std::string("\x03web\x05"
                                "front\0",
                                11)));
}

TEST_F(DnsServer, failures) {
  EXPECT_EQ(read_message(ask_udp(udp_, write_query(9, "other", kTypeA)))->rcode, Rcode::kServFail);
  EXPECT_EQ(read_message(ask_udp(udp_, write_query(9, "broken", kTypeA)))->rcode, Rcode::kServFail);
  std::string status = write_query(9, "Web", kTypeA);
  status[2] = 0x10;
  EXPECT_EQ(read_message(ask_udp(udp_, status))->rcode, Rcode::kNotImp);
  std::string version = write_query(9, "Web", kTypeA, 1232);
  version[version.size() - 5] = 1;
  EXPECT_TRUE(read_message(ask_udp(udp_, version))->edns);
  std::string bad = write_query(9, "Web", kTypeA);
  bad[5] = 3;
  EXPECT_EQ(ask_udp(udp_, bad).substr(3, 1), "\x01");
}

TEST_F(DnsServer, too_many_queries_are_refused) {
  const UniqueFd fd = connect_to(udp_, SOCK_DGRAM);
  for (uint16_t id = 0; id < 5; ++id) send_text(fd.get(), write_query(id, "later", kTypeA));
  const auto first = read_message(receive(fd.get()));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->id, 4);
  EXPECT_EQ(first->rcode, Rcode::kRefused);
  loop_->post([this, numbers = take_unanswered(4)] {
    for (const uint64_t number : numbers) server_->on_answer(number, {});
  });
  for (int i = 0; i < 4; ++i) EXPECT_EQ(read_message(receive(fd.get()))->rcode, Rcode::kServFail);
  EXPECT_EQ(read_message(ask_udp(udp_, write_query(1, "Web", kTypeA)))->rcode, Rcode::kNoError);
}

TEST_F(DnsServer, large_answers_come_by_tcp) {
  EXPECT_TRUE(read_message(ask_udp(udp_, write_query(1, "many", kTypeA)))->is_truncated);
  EXPECT_FALSE(read_message(ask_udp(udp_, write_query(1, "many", kTypeA, 8192)))->is_truncated);
  const UniqueFd fd = connect_to(tcp_, SOCK_STREAM);
  const std::string two = frame(write_query(1, "many", kTypeA)) + frame(write_query(2, "Web", kTypeA));
  for (const char c : two) send_text(fd.get(), std::string(1, c));
  StreamReader reader;
  const std::string first = read_framed(fd.get(), reader);
  EXPECT_GT(first.size(), 4096U);
  EXPECT_FALSE(read_message(first)->is_truncated);
  const std::string second = read_framed(fd.get(), reader);
  ASSERT_TRUE(read_message(second));
  EXPECT_EQ(read_message(second)->id, 2);
}

TEST_F(HastyDnsServer, a_directory_that_is_silent_has_failed) {
  EXPECT_EQ(read_message(ask_udp(udp_, write_query(9, "later", kTypeA)))->rcode, Rcode::kServFail);
}

TEST_F(HastyDnsServer, a_tcp_client_with_nothing_to_say_is_dropped) {
  const UniqueFd fd = connect_to(tcp_, SOCK_STREAM);
  EXPECT_EQ(receive(fd.get()), "");
}

TEST_F(DnsServer, tcp_clients_are_few_and_answered_in_turn) {
  const UniqueFd one = connect_to(tcp_, SOCK_STREAM);
  const UniqueFd two = connect_to(tcp_, SOCK_STREAM);
  const UniqueFd three = connect_to(tcp_, SOCK_STREAM);
  EXPECT_EQ(receive(three.get()), "");
  send_text(two.get(), frame("nonsense"));
  EXPECT_EQ(receive(two.get()), "");
  send_text(one.get(), frame(write_query(3, "Web", kTypeA)));
  EXPECT_EQ(read_message(read_framed(one.get()))->id, 3);
}

TEST_F(DnsServer, a_sandbox_that_is_removed_is_silent) {
  const UniqueFd fd = connect_to(udp_, SOCK_DGRAM);
  const UniqueFd client = connect_to(tcp_, SOCK_STREAM);
  send_text(client.get(), frame(write_query(3, "later", kTypeA)));
  send_text(fd.get(), write_query(1, "later", kTypeA));
  take_unanswered(2);
  loop_->post([this] { server_->remove_sandbox("box"); });
  EXPECT_EQ(receive(client.get()), "");
  send_text(fd.get(), write_query(1, "Web", kTypeA));
  EXPECT_FALSE(is_readable(fd.get(), 300));
}

// The forwarder alone, each case on a loop of its own.
std::string forward(const std::vector<ServerAddress>& servers, bool over_tcp = false) {
  auto loop = std::move(*sys::EventLoop::create());
  Forwarder forwarder(*loop, {400, kWaitMs, 3});
  std::string got = "not called";
  forwarder.ask(write_query(0x4242, "example.org", kTypeA), servers, over_tcp, [&](std::string answer) {
    got = std::move(answer);
    loop->stop();
  });
  EXPECT_TRUE(loop->run().is_ok());
  return got;
}

TEST(DnsForwarder, the_answer_has_the_id_of_the_query) {
  Upstream server([](const std::string& query) { return answered(query); });
  const std::string answer = forward({server.address()});
  EXPECT_EQ(read_message(answer)->id, 0x4242);
  EXPECT_TRUE(answer.ends_with(std::string("\xc0\0\x02\x07", 4)));
}

TEST(DnsForwarder, the_next_server_is_asked) {
  Upstream silent([](const std::string&) { return std::string(); });
  Upstream failing([](const std::string& query) { return answered(query, Rcode::kServFail); });
  Upstream refusing([](const std::string& query) { return answered(query, Rcode::kRefused); });
  Upstream good([](const std::string& query) { return answered(query, Rcode::kNxDomain); });
  ServerAddress nobody = silent.address();
  nobody.port = 1;
  EXPECT_EQ(read_message(forward({silent.address(), failing.address(), good.address()}))->rcode,
            Rcode::kNxDomain);
  EXPECT_EQ(read_message(forward({nobody, refusing.address(), good.address()}))->rcode, Rcode::kNxDomain);
  EXPECT_EQ(forward({silent.address(), failing.address(), refusing.address(), good.address()}), "");
  EXPECT_EQ(good.asked(), 2);
  EXPECT_EQ(forward({}), "");
}

TEST(DnsForwarder, only_what_was_asked_is_taken) {
  Upstream other_id([](std::string query) {
    set_id(query, static_cast<uint16_t>(read_message(query)->id + 1));
    return answered(query);
  });
  Upstream other_name([](const std::string& query) {
    return answered(write_query(read_message(query)->id, "example.com", kTypeA));
  });
  Upstream no_answer([](const std::string& query) { return query; });
  Upstream good([](const std::string& query) { return answered(query); });
  for (const Upstream* wrong : {&other_id, &other_name, &no_answer}) {
    EXPECT_TRUE(read_message(forward({wrong->address(), good.address()})));
  }
  EXPECT_EQ(good.asked(), 3);
}

TEST(DnsForwarder, tcp) {
  const Endpoint listener = open_socket(SOCK_STREAM);
  std::thread server([&] {
    const UniqueFd first(::accept(listener.fd.get(), nullptr, nullptr));
    read_framed(first.get());
    ::shutdown(first.get(), SHUT_RDWR);
    const UniqueFd second(::accept(listener.fd.get(), nullptr, nullptr));
    const std::string query = read_framed(second.get());
    const std::vector<Record> many(3000, address_record(*sys::IpAddress::parse("fd00::1")));
    const auto message = read_message(query);
    send_text(second.get(), frame(write_answer(*message, Rcode::kNoError, many, kMaxMessage)));
  });
  const ServerAddress address{*sys::IpAddress::parse("127.0.0.1"), "", ntohs(listener.address.sin_port)};
  EXPECT_GT(forward({address, address}, true).size(), 60'000U);
  server.join();
}

TEST(DnsForwarder, addresses) {
  EXPECT_EQ(ServerAddress::parse("fe80::1%lo")->zone, "lo");
  EXPECT_EQ(ServerAddress::parse("192.0.2.1")->address.to_string(), "192.0.2.1");
  EXPECT_FALSE(ServerAddress::parse("dns.example.org").is_ok());
}

TEST(DnsLink, packets) {
  std::array<int, 2> ends = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  UniqueFd one(ends[0]);
  const UniqueFd two(ends[1]);
  EXPECT_FALSE(receive_packet(two.get())->has_value());
  const Lookup lookup{"box", kTypeA, "web", ""};
  ASSERT_TRUE(send_packet(one.get(), lookup_words(7, lookup), {one.get(), two.get()}).is_ok());
  ASSERT_TRUE(send_packet(one.get(), answer_words(8, {AnswerKind::kForward, {"192.0.2.1", ""}})).is_ok());
  auto first = receive_packet(two.get());
  ASSERT_TRUE(first.is_ok() && first->has_value());
  EXPECT_EQ((*first)->fds.size(), 2U);
  const auto read = lookup_of((*first)->words);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->first, 7U);
  EXPECT_EQ(read->second.name, "web");
  const auto second = receive_packet(two.get());
  const auto answer = answer_of((*second)->words);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->second.items, (Words{"192.0.2.1", ""}));
  EXPECT_FALSE(lookup_of((*second)->words) || answer_of((*first)->words));
  ASSERT_EQ(::send(one.get(), "\x09\0\0\0x", 5, 0), 5);
  EXPECT_EQ(receive_packet(two.get()).code(), Code::kDataLoss);
  EXPECT_EQ(send_packet(one.get(), {std::string(200'000, 'x')}).code(), Code::kInternal);
  one.reset();
  first->value().fds.clear();
  EXPECT_EQ(receive_packet(two.get()).code(), Code::kClosed);
}

}  // namespace
}  // namespace pouch::dns
