#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::sys {

/// eventfd: a flag that poll(2) sees. Thread-safe.
class EventFd {
 public:
  static Result<EventFd> create();
  void set();
  void clear();
  int fd() const { return fd_.get(); }

 private:
  explicit EventFd(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// One thread's epoll loop with timers. Everything but post() and stop() belongs to the loop's thread. A
/// callback may remove any watch or timer, its own included.
class EventLoop {
 public:
  using WatchId = uint64_t;
  using TimerId = uint64_t;

  static Result<std::unique_ptr<EventLoop>> create();

  /// `events` as for epoll_ctl (level-triggered). The fd must stay open until remove().
  Result<WatchId> add(int fd, uint32_t events, std::function<void(uint32_t)> callback);
  Status set_events(WatchId id, uint32_t events);
  void remove(WatchId id);  ///< unknown ids are ignored

  TimerId after_ms(int64_t ms, std::function<void()> callback);
  void cancel(TimerId id);

  /// Runs `task` on the loop soon; from any thread.
  void post(std::function<void()> task);
  /// Until stop().
  Status run();
  void stop();  ///< from any thread

 private:
  struct Watch {
    int fd;
    uint32_t events;
    std::shared_ptr<std::function<void(uint32_t)>> callback;
  };
  EventLoop(UniqueFd epoll, EventFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
  int timeout_ms() const;
  void run_timers();
  void run_posted();

  UniqueFd epoll_;
  EventFd wake_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;  // protected by mutex_
  // Below only on the loop's thread.
  uint64_t next_id_ = 1;
  std::unordered_map<WatchId, Watch> watches_;
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> timers_;  // by boot time in ns
  std::unordered_map<TimerId, int64_t> timer_times_;
};

}  // namespace pouch::sys
