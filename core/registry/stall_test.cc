#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/id.h"
#include "core/base/unique_fd.h"
#include "core/registry/client.h"

// Connections on which nothing comes any more, which real servers cannot be made to have in little time.

namespace pouch::registry {
namespace {

/// Answers each plain request for a blob with what `answer` gives for its Range and number, and holds the
/// connection as if there were more.
class HoldingServer {
 public:
  explicit HoldingServer(std::function<std::string(int number, const std::string& request)> answer)
      : answer_(std::move(answer)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    host_ = "127.0.0.1:" + std::to_string(::ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~HoldingServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  HoldingServer(const HoldingServer&) = delete;
  HoldingServer& operator=(const HoldingServer&) = delete;

  const std::string& host() const { return host_; }
  int requests() const { return requests_; }

 private:
  void serve() {
    while (true) {
      UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection.is_valid()) return;
      std::string request;
      char buffer[4096];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(connection.get(), buffer, sizeof buffer, 0);
        if (got <= 0) break;
        request.append(buffer, static_cast<size_t>(got));
        if (request.front() == '\x16') break;  // TLS, which is not spoken here
      }
      if (!request.starts_with("GET")) continue;
      const std::string answer = answer_(++requests_, request);
      ::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      held_.push_back(std::move(connection));
    }
  }

  const std::function<std::string(int number, const std::string& request)> answer_;
  const UniqueFd listener_;
  std::string host_;
  std::atomic<int> requests_ = 0;
  std::vector<UniqueFd> held_;  ///< the thread's
  std::thread thread_;
};

struct Fetched {
  Status status;
  std::string bytes;
};

Fetched fetch(const HoldingServer& server, const std::string& blob) {
  Settings settings;
  settings.stall_ms = 1000;
  Client client(settings);
  auto repository = client.open(*Reference::parse(server.host() + "/team/box:1"), std::nullopt);
  Fetched out;
  Call call;
  call.deadline = Deadline::after_ms(60'000);
  out.status = (*repository)
                   ->fetch_blob(call, Digest(sha256_digest(blob)), static_cast<int64_t>(blob.size()), 0,
                                [&](std::string_view piece) {
                                  out.bytes += piece;
                                  return Status();
                                });
  return out;
}

TEST(Stall, ABlobIsResumedWhereNothingCameAnyMore) {
  const std::string blob = std::string(3000, 'a') + std::string(3000, 'b');
  const HoldingServer server([&](int number, const std::string& request) {
    const bool has_range = request.find("Range: bytes=3000-\r\n") != std::string::npos;
    EXPECT_EQ(has_range, number == 2) << request;
    return number == 1 ? "HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n" + blob.substr(0, 3000)
                       : "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3000-5999/6000\r\n"
                         "Content-Length: 3000\r\n\r\n" +
                             blob.substr(3000);
  });
  const Fetched fetched = fetch(server, blob);
  EXPECT_TRUE(fetched.status.is_ok()) << fetched.status.message();
  EXPECT_EQ(fetched.bytes, blob);
  EXPECT_EQ(server.requests(), 2);
}

TEST(Stall, IsToldWhenItStays) {
  const HoldingServer server(
      [](int, const std::string&) { return std::string("HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n"); });
  const Fetched fetched = fetch(server, std::string(6000, 'x'));
  EXPECT_EQ(fetched.status.code(), Code::kUnavailable);
  EXPECT_NE(fetched.status.message().find("no bytes came for 1 s"), std::string::npos)
      << fetched.status.message();
  EXPECT_NE(fetched.status.message().find(server.host()), std::string::npos) << fetched.status.message();
}

}  // namespace
}  // namespace pouch::registry
