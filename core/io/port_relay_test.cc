// What the keeper relays, between sockets of loopback.

#include "core/io/port_relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "core/base/executor.h"
#include "core/base/unique_fd.h"

namespace pouch::io {
namespace {

constexpr int kWaitMs = 20'000;
constexpr const char* kHere = "127.0.0.1";

sockaddr_in place(uint16_t port) {
  sockaddr_in out = {};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  ::inet_pton(AF_INET, kHere, &out.sin_addr);
  return out;
}

UniqueFd open_socket(int type) {
  UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const sockaddr_in any = place(0);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  return fd;
}

UniqueFd listen_somewhere() {
  UniqueFd fd = open_socket(SOCK_STREAM);
  EXPECT_EQ(::listen(fd.get(), 16), 0);
  return fd;
}

uint16_t port_of(const UniqueFd& fd) {
  sockaddr_in at = {};
  socklen_t size = sizeof at;
  EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  return ntohs(at.sin_port);
}

UniqueFd connect_to(uint16_t port, int type = SOCK_STREAM) {
  UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const sockaddr_in to = place(port);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  return fd;
}

bool is_readable(const UniqueFd& fd) {
  pollfd item = {fd.get(), POLLIN, 0};
  return ::poll(&item, 1, kWaitMs) == 1;
}

UniqueFd accept_one(const UniqueFd& listener) {
  EXPECT_TRUE(is_readable(listener));
  return UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

void send_all(const UniqueFd& fd, const std::string& text) {
  size_t at = 0;
  while (at < text.size()) {
    const ssize_t sent = ::send(fd.get(), text.data() + at, text.size() - at, MSG_NOSIGNAL);
    ASSERT_GT(sent, 0);
    at += static_cast<size_t>(sent);
  }
}

std::string read_one(const UniqueFd& fd) {
  std::array<char, 64 * 1024> buffer;
  if (!is_readable(fd)) return "nothing came";
  const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
  return got <= 0 ? std::string() : std::string(buffer.data(), static_cast<size_t>(got));
}

std::string read_to_end(const UniqueFd& fd) {
  std::string all;
  while (true) {
    const std::string piece = read_one(fd);
    if (piece.empty() || piece == "nothing came") return all + piece;
    all += piece;
  }
}

class PortRelayTest : public testing::Test {
 protected:
  PortRelayTest() : entrance_(listen_somewhere()), mailbox_(open_socket(SOCK_DGRAM)) {
    ::fcntl(entrance_.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(mailbox_.get(), F_SETFL, O_NONBLOCK);
    thread_ = start_thread([this] { EXPECT_TRUE(loop_->run().is_ok()); });
    on_loop([this] {
      relay_ = std::make_unique<PortRelay>(*loop_);
      const auto come = [this](uint32_t) { relay_->accept_all(entrance_.get(), target_); };
      const auto post = [this](uint32_t) { relay_->take_datagrams(mailbox_.get(), target_); };
      EXPECT_TRUE(loop_->add(entrance_.get(), EPOLLIN, come).is_ok());
      EXPECT_TRUE(loop_->add(mailbox_.get(), EPOLLIN, post).is_ok());
    });
  }
  ~PortRelayTest() override {
    on_loop([this] { relay_.reset(); });
    loop_->stop();
    thread_.join();
  }

  void on_loop(const std::function<void()>& task) {
    std::promise<void> done;
    loop_->post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  void lead_to(uint16_t port) {
    on_loop([&] { target_ = {kHere, port}; });
  }

  std::unique_ptr<sys::EventLoop> loop_ = *sys::EventLoop::create();
  UniqueFd entrance_;
  UniqueFd mailbox_;
  RelayTarget target_;
  std::unique_ptr<PortRelay> relay_;
  std::thread thread_;
};

TEST_F(PortRelayTest, ConnectionsEndOneDirectionAtATime) {
  const UniqueFd server = listen_somewhere();
  lead_to(port_of(server));
  const UniqueFd client = connect_to(port_of(entrance_));
  const std::string question(300'000, 'q');
  const std::string answer(3'000'000, 'a');
  send_all(client, question);
  ASSERT_EQ(::shutdown(client.get(), SHUT_WR), 0);
  UniqueFd served = accept_one(server);
  EXPECT_EQ(read_to_end(served), question);
  std::thread writer = start_thread([&] {
    send_all(served, answer);
    served.reset();
  });
  EXPECT_EQ(read_to_end(client), answer);
  writer.join();
}

TEST_F(PortRelayTest, NobodyThereIsAnEnd) {
  EXPECT_EQ(read_to_end(connect_to(port_of(entrance_))), "");  // leads nowhere
  uint16_t closed = 0;
  {
    const UniqueFd nobody = open_socket(SOCK_STREAM);
    closed = port_of(nobody);
  }
  lead_to(closed);
  EXPECT_EQ(read_to_end(connect_to(port_of(entrance_))), "");
}

TEST_F(PortRelayTest, WithoutDescriptorsItSaysSo) {
  const UniqueFd busy = listen_somewhere();
  ::fcntl(busy.get(), F_SETFL, O_NONBLOCK);
  const UniqueFd client = connect_to(port_of(busy));
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  on_loop([&] {
    const UniqueFd next(::dup(busy.get()));  // the lowest that is free
    rlimit none = limit;
    none.rlim_cur = static_cast<rlim_t>(next.get());
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_FALSE(relay_->accept_all(busy.get(), target_));
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_TRUE(relay_->accept_all(busy.get(), target_));
  });
}

TEST_F(PortRelayTest, ConnectionsEndWithTheRelay) {
  const UniqueFd server = listen_somewhere();
  lead_to(port_of(server));
  const UniqueFd client = connect_to(port_of(entrance_));
  const UniqueFd served = accept_one(server);
  on_loop([this] { relay_ = std::make_unique<PortRelay>(*loop_); });
  EXPECT_EQ(read_to_end(client), "");
  EXPECT_EQ(read_to_end(served), "");
}

// The loop is the keeper's, which has all containers' output to take.
TEST_F(PortRelayTest, OneThatNeverPausesLeavesTheOthersTheirTurns) {
  const UniqueFd server = listen_somewhere();
  lead_to(port_of(server));
  const UniqueFd client = connect_to(port_of(entrance_));
  const UniqueFd served = accept_one(server);
  std::atomic<bool> is_over = false;
  std::atomic<uint64_t> moved = 0;
  std::thread writer = start_thread([&] {
    const std::string piece(1 << 20, 'x');
    while (!is_over && ::send(client.get(), piece.data(), piece.size(), MSG_NOSIGNAL) > 0) {
    }
    ::shutdown(client.get(), SHUT_RDWR);
  });
  std::thread reader = start_thread([&] {
    std::vector<char> buffer(1 << 20);
    ssize_t got = 0;
    while ((got = ::recv(served.get(), buffer.data(), buffer.size(), 0)) > 0)
      moved += static_cast<uint64_t>(got);
  });
  for (int i = 0; i < 20; ++i) {
    const uint64_t before = moved;
    while (moved == before) std::this_thread::yield();
    on_loop([] {});
  }
  is_over = true;
  writer.join();
  reader.join();
}

TEST_F(PortRelayTest, DatagramsComeBackToWhoHasSentThem) {
  const UniqueFd server = open_socket(SOCK_DGRAM);
  lead_to(port_of(server));
  const UniqueFd one = connect_to(port_of(mailbox_), SOCK_DGRAM);
  const UniqueFd two = connect_to(port_of(mailbox_), SOCK_DGRAM);
  const auto answer_one = [&] {
    std::array<char, 64> buffer;
    sockaddr_in from = {};
    socklen_t size = sizeof from;
    ASSERT_TRUE(is_readable(server));
    const ssize_t got =
        ::recvfrom(server.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    ASSERT_GE(got, 0);
    const std::string text = "re: " + std::string(buffer.data(), static_cast<size_t>(got));
    ::sendto(server.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&from), size);
  };
  for (const char* text : {"a", "", "b"}) {
    ASSERT_GE(::send(one.get(), text, std::char_traits<char>::length(text), 0), 0);
    answer_one();
    EXPECT_EQ(read_one(one), std::string("re: ") + text);
  }
  ASSERT_EQ(::send(two.get(), "c", 1, 0), 1);
  answer_one();
  EXPECT_EQ(read_one(two), "re: c");
  // To somewhere else from now on.
  const UniqueFd second = open_socket(SOCK_DGRAM);
  on_loop([&] {
    relay_->forget(mailbox_.get());
    target_ = {kHere, port_of(second)};
  });
  ASSERT_EQ(::send(one.get(), "d", 1, 0), 1);
  EXPECT_EQ(read_one(second), "d");
}

}  // namespace
}  // namespace pouch::io
