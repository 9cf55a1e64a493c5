#include "core/remote/testing/http_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

namespace pouch::remote {

std::string TestConnection::read_head() {
  while (true) {
    if (const size_t end = buffer_.find("\r\n\r\n"); end != std::string::npos) {
      std::string head = buffer_.substr(0, end + 4);
      buffer_.erase(0, end + 4);
      return head;
    }
    std::array<char, 4096> bytes{};
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got <= 0) return "";
    buffer_.append(bytes.data(), static_cast<size_t>(got));
  }
}

std::string TestConnection::read_body(size_t size) {
  std::string out = buffer_.substr(0, size);
  buffer_.erase(0, out.size());
  while (out.size() < size) {
    std::string bytes(std::min(size - out.size(), size_t{65536}), '\0');
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got <= 0) break;
    out.append(bytes, 0, static_cast<size_t>(got));
  }
  return out;
}

std::string TestConnection::read_to_end() {
  return read_body(size_t{1} << 30U);
}

void TestConnection::send(const std::string& text) {
  size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t now = ::send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (now <= 0) return;
    sent += static_cast<size_t>(now);
  }
}

void TestConnection::shut_down() {
  ::shutdown(fd_.get(), SHUT_WR);
}

TestServer::TestServer(std::string ping_headers, Serve serve)
    : ping_headers_(std::move(ping_headers)), serve_(std::move(serve)) {
  std::string pattern = std::filesystem::temp_directory_path() / "pouch-remote-XXXXXX";
  folder_ = ::mkdtemp(pattern.data());
  path_ = folder_ + "/s";
  listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  if (::listen(listener_.get(), 64) != 0) std::abort();
  acceptor_ = std::thread([this] { accept_loop(); });
}

TestServer::~TestServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int fd : open_fds_) ::shutdown(fd, SHUT_RDWR);
  }
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  std::filesystem::remove_all(folder_);
}

void TestServer::accept_loop() {
  while (true) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      ::close(fd);
      return;
    }
    ++connections_;
    open_fds_.push_back(fd);
    threads_.emplace_back([this, fd] { serve_connection(fd); });
  }
}

void TestServer::serve_connection(int fd) {
  TestConnection connection{UniqueFd(fd)};
  while (true) {
    const std::string head = connection.read_head();
    if (head.empty()) break;
    {
      const std::lock_guard lock(mutex_);
      heads_.push_back(head);
    }
    if (head.starts_with("GET /_ping ")) {
      connection.send(http_answer(200, "OK", ping_headers_));
    } else if (!serve_(connection, head)) {
      break;
    }
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_fds_, fd);
}

std::vector<std::string> TestServer::heads() {
  const std::lock_guard lock(mutex_);
  return heads_;
}

std::string http_answer(int status, const std::string& body, const std::string& headers) {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string http_chunk(const std::string& data) {
  std::array<char, 32> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", data.size());
  return size.data() + data + "\r\n";
}

std::string mux(int stream, const std::string& data) {
  const size_t size = data.size();
  std::string header(8, '\0');
  header[0] = static_cast<char>(stream);
  for (unsigned i = 0; i < 4; ++i) header[4 + i] = static_cast<char>((size >> (24 - 8 * i)) & 255U);
  return header + data;
}

}  // namespace pouch::remote
