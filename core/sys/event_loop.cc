#include "core/sys/event_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <limits>

namespace pouch::sys {

Result<EventFd> EventFd::create() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.is_valid()) return errno_status(errno, "create eventfd");
  return EventFd(std::move(fd));
}

void EventFd::set() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then it is set.
  [[maybe_unused]] const ssize_t put = ::write(fd_.get(), &one, sizeof one);
}

void EventFd::clear() {
  uint64_t value = 0;
  [[maybe_unused]] const ssize_t got = ::read(fd_.get(), &value, sizeof value);
}

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_valid()) return errno_status(errno, "create epoll");
  POUCH_ASSIGN_OR_RETURN(EventFd wake, EventFd::create());
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = 0;  // no watch has id 0
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.fd(), &event) != 0) {
    return errno_status(errno, "watch eventfd");
  }
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

Result<EventLoop::WatchId> EventLoop::add(int fd, uint32_t events, std::function<void(uint32_t)> callback) {
  const WatchId id = next_id_++;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return errno_status(errno, "watch descriptor");
  watches_[id] = {fd, events, std::make_shared<std::function<void(uint32_t)>>(std::move(callback))};
  return id;
}

Status EventLoop::set_events(WatchId id, uint32_t events) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return internal_error("change a watch that is gone");
  if (found->second.events == events) return {};
  epoll_event event = {};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event) != 0) {
    return errno_status(errno, "change watch");
  }
  found->second.events = events;
  return {};
}

void EventLoop::remove(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  watches_.erase(found);
}

EventLoop::TimerId EventLoop::after_ms(int64_t ms, std::function<void()> callback) {
  const TimerId id = next_id_++;
  const int64_t time = boot_now_ns() + ms * 1'000'000;
  timers_[{time, id}] = std::move(callback);
  timer_times_[id] = time;
  return id;
}

void EventLoop::cancel(TimerId id) {
  const auto found = timer_times_.find(id);
  if (found == timer_times_.end()) return;
  timers_.erase({found->second, id});
  timer_times_.erase(found);
}

void EventLoop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  wake_.set();
}

void EventLoop::stop() {
  stopping_ = true;
  wake_.set();
}

int EventLoop::timeout_ms() const {
  if (timers_.empty()) return -1;
  const int64_t left = timers_.begin()->first.first - boot_now_ns();
  if (left <= 0) return 0;
  return static_cast<int>(std::min<int64_t>(left / 1'000'000 + 1, std::numeric_limits<int>::max()));
}

void EventLoop::run_timers() {
  const int64_t now = boot_now_ns();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    timer_times_.erase(node.key().second);
    node.mapped()();
  }
}

void EventLoop::run_posted() {
  wake_.clear();
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (const auto& task : tasks) task();
}

Status EventLoop::run() {
  std::array<epoll_event, 64> events;
  while (!stopping_) {
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms());
    if (count < 0 && errno != EINTR) return errno_status(errno, "wait for events");
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.u64 == 0) {
        run_posted();
        continue;
      }
      // Looked up each time: an earlier callback of this batch may have removed it.
      const auto found = watches_.find(event.data.u64);
      if (found == watches_.end()) continue;
      const auto callback = found->second.callback;
      (*callback)(event.events);
    }
    run_timers();
  }
  return {};
}

}  // namespace pouch::sys
