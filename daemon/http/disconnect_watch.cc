#include "daemon/http/disconnect_watch.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

#include "core/base/executor.h"

namespace pouch::http {

DisconnectWatch::DisconnectWatch()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event = {};
  event.events = EPOLLIN;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
  thread_ = start_thread([this] { run(); });
}

DisconnectWatch::~DisconnectWatch() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t wrote = ::write(wake_.get(), &one, sizeof one);
  thread_.join();
}

DisconnectWatch::Guard::Guard(DisconnectWatch& watch, int fd, CancelPtr token, Kind kind)
    : watch_(watch), fd_(fd), id_(watch.add(fd, std::move(token), kind)) {}

DisconnectWatch::Guard::~Guard() {
  watch_.remove(fd_, id_);
}

uint64_t DisconnectWatch::add(int fd, CancelPtr token, Kind kind) {
  const std::lock_guard lock(mutex_);
  const uint64_t id = next_id_++;
  calls_[id] = std::move(token);
  epoll_event event = {};
  // Hang-up and error come unasked.
  event.events = EPOLLONESHOT;
  if (kind == Kind::kClient) event.events |= EPOLLRDHUP;
  if (kind == Kind::kProcess) event.events |= EPOLLIN;
  event.data.u64 = id;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  return id;
}

void DisconnectWatch::remove(int fd, uint64_t id) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  const std::lock_guard lock(mutex_);
  calls_.erase(id);
}

void DisconnectWatch::fire_all() {
  std::map<uint64_t, CancelPtr> calls;
  {
    const std::lock_guard lock(mutex_);
    calls = calls_;
  }
  for (const auto& [id, token] : calls) token->fire();
}

void DisconnectWatch::run() {
  std::array<epoll_event, 64> events{};
  while (true) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const uint64_t id = events[static_cast<size_t>(i)].data.u64;
      if (id == 0) return;
      CancelPtr token;
      {
        const std::lock_guard lock(mutex_);
        const auto at = calls_.find(id);
        if (at != calls_.end()) token = at->second;
      }
      if (token) token->fire();
    }
  }
}

}  // namespace pouch::http
