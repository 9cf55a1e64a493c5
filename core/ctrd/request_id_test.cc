#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/base/log.h"
#include "core/base/unique_fd.h"
#include "core/ctrd/client.h"
#include "core/ctrd/transport.h"

namespace pouch::ctrd {
namespace {

using Headers = std::map<std::string, std::string>;

/// Stands where containerd would: keeps the headers of each request and answers Unimplemented.
class HeaderServer {
 public:
  HeaderServer() {
    std::strcpy(folder_.data(), "/tmp/pouch-test-XXXXXX");
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = std::string(folder_.data()) + "/s";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path_.c_str());
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~HeaderServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    ::unlink(path_.c_str());
    ::rmdir(folder_.data());
  }
  HeaderServer(const HeaderServer&) = delete;
  HeaderServer& operator=(const HeaderServer&) = delete;

  const std::string& path() const { return path_; }
  /// Of the newest request, once it was answered.
  Headers headers() {
    const std::lock_guard lock(mutex_);
    return headers_;
  }

 private:
  static int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* self) {
    auto& server = *static_cast<HeaderServer*>(self);
    const std::lock_guard lock(server.mutex_);
    if (name_size == 7 && std::memcmp(name, ":method", name_size) == 0) server.headers_.clear();
    server.headers_[std::string(name, name + name_size)] = std::string(value, value + value_size);
    return 0;
  }

  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void*) {
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 || frame->hd.type != NGHTTP2_DATA) return 0;
    const auto field = [](const char* name, const char* value) {
      return nghttp2_nv{reinterpret_cast<uint8_t*>(const_cast<char*>(name)),
                        reinterpret_cast<uint8_t*>(const_cast<char*>(value)), std::strlen(name),
                        std::strlen(value), NGHTTP2_NV_FLAG_NONE};
    };
    const std::array<nghttp2_nv, 3> answer = {
        field(":status", "200"), field("content-type", "application/grpc"), field("grpc-status", "12")};
    return nghttp2_submit_response(session, frame->hd.stream_id, answer.data(), answer.size(), nullptr);
  }

  void serve() {
    const UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.is_valid()) return;
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, &on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &on_frame);
    nghttp2_session* session = nullptr;
    nghttp2_session_server_new(&session, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
    std::array<uint8_t, 16384> buffer{};
    while (send_all(session, fd.get())) {
      const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
      if (got <= 0 || nghttp2_session_mem_recv(session, buffer.data(), static_cast<size_t>(got)) < 0) break;
    }
    nghttp2_session_del(session);
  }

  static bool send_all(nghttp2_session* session, int fd) {
    const uint8_t* bytes = nullptr;
    ssize_t size = 0;
    while ((size = nghttp2_session_mem_send(session, &bytes)) > 0) {
      if (::send(fd, bytes, static_cast<size_t>(size), MSG_NOSIGNAL) != size) return false;
    }
    return size == 0;
  }

  std::array<char, 32> folder_{};
  std::string path_;
  UniqueFd listener_;
  std::mutex mutex_;
  Headers headers_;  // protected by mutex_
  std::thread thread_;
};

TEST(RequestIdTest, TravelsToContainerdAsMetadata) {
  HeaderServer server;
  {
    const Client client(std::make_shared<Transport>(server.path(), "ns"));
    const Call call{.deadline = Deadline::after_ms(10'000), .cancel = nullptr, .request_id = {}};
    EXPECT_EQ(client.ping(call).code(), Code::kNotImplemented);
    EXPECT_FALSE(server.headers().contains("pouch-request-id"));
    {
      const LogScoped scoped({{}, {}, "req-1"});
      EXPECT_EQ(client.ping(call).code(), Code::kNotImplemented);
      EXPECT_EQ(server.headers().at("pouch-request-id"), "req-1");
      EXPECT_EQ(server.headers().at("containerd-namespace"), "ns");
    }
    const LogScoped scoped({{}, {}, "req-2\nx: y"});  // what is no header's text stays here
    EXPECT_EQ(client.ping(call).code(), Code::kNotImplemented);
    EXPECT_FALSE(server.headers().contains("pouch-request-id"));
  }
}

}  // namespace
}  // namespace pouch::ctrd
