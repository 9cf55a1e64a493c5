#include "core/net/curl_handle.h"

#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fork.h"

namespace pouch::net {
namespace {

// A close alone is not seen by the server while a child of fork() has the socket as well. The child, in turn,
// must not end the parent's.
int close_socket(void* pid, curl_socket_t fd) {
  if (reinterpret_cast<intptr_t>(pid) == ::getpid()) ::shutdown(fd, SHUT_RDWR);
  return ::close(fd);
}

Result<std::unique_ptr<CurlHandle>> make_handle() {
  const auto held = hold_off_fork();  // libcurl has a lock of its own there, and what it loads others
  POUCH_RETURN_IF_ERROR(load_curl());
  auto handle = std::make_unique<CurlHandle>();
  handle->multi.reset(curl().multi_init());
  handle->easy.reset(curl().easy_init());
  if (!handle->multi || !handle->easy) return Status(Code::kOutOfMemory, "libcurl: out of memory");
  return handle;
}

}  // namespace

bool CurlHandle::end_connections_when_closed() const {
  auto* const pid = reinterpret_cast<void*>(static_cast<intptr_t>(::getpid()));
  return curl().easy_setopt(easy.get(), CURLOPT_CLOSESOCKETFUNCTION, &close_socket) == CURLE_OK &&
         curl().easy_setopt(easy.get(), CURLOPT_CLOSESOCKETDATA, pid) == CURLE_OK;
}

Result<std::unique_ptr<CurlHandle>> HandlePool::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<CurlHandle> handle = std::move(idle_.back());
      idle_.pop_back();
      return handle;
    }
  }
  return make_handle();
}

void HandlePool::give_back(std::unique_ptr<CurlHandle> handle) {
  curl().easy_reset(handle->easy.get());
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(handle));
}

}  // namespace pouch::net
