#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/unique_fd.h"

namespace pouch::remote {

/// One accepted connection of the test server, with plain blocking calls.
class TestConnection {
 public:
  explicit TestConnection(UniqueFd fd) : fd_(std::move(fd)) {}

  /// The next request's head; empty when the client has closed.
  std::string read_head();
  /// Exactly `size` bytes, fewer when the client ends before.
  std::string read_body(size_t size);
  /// Everything until the client's half-close.
  std::string read_to_end();
  void send(const std::string& text);
  void shut_down();

 private:
  UniqueFd fd_;
  std::string buffer_;
};

/// A server on a unix socket in a private folder. It answers /_ping by itself; `serve` gets every other
/// request with its head, and returns false to close the connection.
class TestServer {
 public:
  using Serve = std::function<bool(TestConnection& connection, const std::string& head)>;

  /// `ping_headers`: lines such as "Pouch-Version: 0\r\n".
  TestServer(std::string ping_headers, Serve serve);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  std::string uri() const { return "unix://" + path_; }
  int connections() const { return connections_.load(); }
  std::vector<std::string> heads();

 private:
  void accept_loop();
  void serve_connection(int fd);

  const std::string ping_headers_;
  const Serve serve_;
  std::string folder_;
  std::string path_;
  UniqueFd listener_;
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  // Below protected by mutex_.
  std::vector<std::string> heads_;
  std::vector<std::thread> threads_;
  std::vector<int> open_fds_;
  bool stopping_ = false;
  std::thread acceptor_;
};

/// A whole answer with a body of known length.
std::string http_answer(int status, const std::string& body, const std::string& headers = "");
/// One chunk of a chunked body; "" is the last one.
std::string http_chunk(const std::string& data);
/// A multiplexed piece.
std::string mux(int stream, const std::string& data);

inline constexpr const char* kPouchdHeaders =
    "Pouch-Version: 0.1.0\r\nApi-Version: 1.50\r\nOstype: linux\r\n";
inline constexpr const char* kDockerdHeaders = "Api-Version: 1.41\r\nOstype: linux\r\n";

}  // namespace pouch::remote
