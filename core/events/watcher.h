#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "core/events/event_log.h"
#include "core/sys/bell.h"

namespace pouch::events {

/// One follower, shared between its handle and the watching thread.
struct Follower::State {
  std::function<void(const Event&)> on_event;
  std::function<void()> on_expired;  ///< may be null
  Deadline expires;

  int64_t position = 0;  ///< only the watching thread's: the last event it was told

  std::mutex mutex;
  std::condition_variable idle;
  // Below protected by mutex.
  bool is_over = false;
  std::thread::id caller;  ///< of the callback under way

  void tell(const Event& event);
  void tell_expired();
  bool is_cancelled();

 private:
  bool enter();
  void leave();
  friend class Follower;
};

/// The thread that waits for the bell and feeds this process's followers. Thread-safe.
class Watcher {
 public:
  Watcher(store::Database& database, sys::Bell& bell) : database_(database), bell_(bell) {}
  ~Watcher() { stop(); }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// Starts the thread with the first follower.
  void add(std::shared_ptr<Follower::State> follower);
  void stop();

 private:
  using Followers = std::vector<std::shared_ptr<Follower::State>>;

  void run();
  Followers live_followers();
  bool feed(const Followers& followers);  ///< whether there was anything new
  static Deadline expire(const Followers& followers);

  store::Database& database_;
  sys::Bell& bell_;
  std::mutex mutex_;
  // Below protected by mutex_.
  Followers followers_;
  std::thread thread_;
  bool stopping_ = false;
};

}  // namespace pouch::events
