#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/api/json.h"
#include "core/mock/mock_engine.h"
#include "daemon/http/api_handler.h"
#include "daemon/http/server.h"

// A server over the mock engine, and a raw client for it.

namespace pouch::http {

inline constexpr int kPatienceMs = 10'000;

// A raw client: sends bytes, reads bytes.
class Client {
 public:
  explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  Client& send(std::string_view bytes) {
    EXPECT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    return *this;
  }
  Client& end_sending() {
    ::shutdown(fd_.get(), SHUT_WR);
    return *this;
  }
  void close() { fd_.reset(); }

  /// One more piece; false at the end or after too long a silence.
  bool more() {
    pollfd readable = {fd_.get(), POLLIN, 0};
    if (::poll(&readable, 1, kPatienceMs) <= 0) return false;
    char bytes[65536];
    const ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(got));
    return true;
  }
  /// Everything up to and with `mark`; what there is when it does not come.
  std::string until(const std::string& mark) {
    while (buffer_.find(mark) == std::string::npos && more()) {
    }
    const size_t at = buffer_.find(mark);
    return take(at == std::string::npos ? buffer_.size() : at + mark.size());
  }
  std::string exactly(size_t count) {
    while (buffer_.size() < count && more()) {
    }
    return take(std::min(count, buffer_.size()));
  }
  std::string rest() {
    while (more()) {
    }
    return take(buffer_.size());
  }
  std::string body_of(const std::string& head) {
    const size_t at = head.find("Content-Length: ");
    return at == std::string::npos ? "" : exactly(std::stoul(head.substr(at + 16)));
  }
  std::string chunk() {
    const size_t size = std::stoul("0" + until("\r\n"), nullptr, 16);
    std::string data = exactly(size);
    exactly(2);
    return data;
  }

 private:
  std::string take(size_t count) {
    std::string out = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return out;
  }
  UniqueFd fd_;
  std::string buffer_;
};

struct Answer {
  std::string head;
  std::string body;
  int status() const { return head.size() > 12 ? std::stoi(head.substr(9, 3)) : 0; }
};

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "pouch-http-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    socket_ = folder_ + "/s";
    engine_ = std::move(MockEngine::open("mock://").value());
    handler_ = std::make_unique<ApiHandler>(*engine_, watch_);
    start({});
    make_image();
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start(const Limits& limits) {
    server_.reset();
    ServerOptions options;
    options.listen = {"unix://" + socket_};
    options.limits = limits;
    options.on_stop_timeout = [this] { watch_.fire_all(); };
    auto server =
        Server::start(std::move(options), [this](Exchange& exchange) { handler_->serve(exchange); });
    ASSERT_TRUE(server.is_ok()) << server.status().to_string();
    server_ = std::move(*server);
  }

  void make_image() {
    api::ImageFromRootfsOptions options;
    options.reference = "busybox";
    StreamPtr stream = engine_->image_from_rootfs(options, {}).value();
    ASSERT_TRUE(stream->write(tar_of(1), Deadline::never()).is_ok());
    stream->close_write().ignore();
    ASSERT_TRUE(stream->finish({}).is_ok());
  }

  // A tar archive of one file of zeros.
  static std::string tar_of(size_t size) {
    std::string header(512, '\0');
    header.replace(0, 1, "x");
    std::array<char, 13> digits{};
    std::snprintf(digits.data(), digits.size(), "%011zo", size);
    header.replace(124, 11, digits.data(), 11);
    header.replace(257, 5, "ustar");
    return header + std::string((size + 511) / 512 * 512, '\0') + std::string(1024, '\0');
  }

  Client connect() { return Client(socket_); }

  static std::string request(const std::string& method, const std::string& target,
                             const std::string& body = {}, const std::string& headers = {}) {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: d\r\n" + headers;
    if (!body.empty()) {
      text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    }
    return text + "\r\n" + body;
  }

  Answer call(const std::string& method, const std::string& target, const std::string& body = {},
              const std::string& headers = {}) {
    Client client = connect();
    client.send(request(method, target, body, headers));
    Answer answer;
    answer.head = client.until("\r\n\r\n");
    answer.body = client.body_of(answer.head);
    return answer;
  }

  std::string make_container(const std::string& config) {
    Json full = parse_json(config).value();
    full["HostConfig"]["NetworkMode"] = "none";
    const Answer answer = call("POST", "/containers/create", write_json(full));
    EXPECT_EQ(answer.status(), 201) << answer.body;
    return parse_json(answer.body).value()["Id"].asString();
  }

  std::string folder_;
  std::string socket_;
  std::unique_ptr<MockEngine> engine_;
  DisconnectWatch watch_;
  std::unique_ptr<ApiHandler> handler_;
  std::unique_ptr<Server> server_;
};

inline const std::string kStrict = "Pouch-Strict: 1\r\n";
inline const std::string kUpgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

}  // namespace pouch::http
