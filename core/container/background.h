#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "core/base/executor.h"
#include "core/base/status.h"

namespace pouch::container {

/// Counts what runs in the background for one manager, so that the manager can outlive it. Thread-safe.
class Inflight {
 public:
  /// Held while something runs, or waits to run.
  std::shared_ptr<void> enter();
  /// Blocks until nothing runs.
  void wait_idle();

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  int running_ = 0;  // protected by mutex_
};

/// One step beside its caller's: on the executor when it has a thread free, else on the joining thread, so
/// that steps which wait for steps cannot starve each other.
class Beside {
 public:
  Beside(Executor& executor, std::function<Status()> step);
  ~Beside();  ///< joins
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;
  /// Its outcome; call as often as you like.
  Status join();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// What must be ended when the manager goes: open streams, followers. The functions may run when what they
/// end has ended by itself: they hold what they touch. Thread-safe.
class Closers {
 public:
  /// Called once by close_all(), or at once when that has happened. 0: it was called at once.
  int add(std::function<void()> close);
  /// Forgets it; it may be running right now.
  void remove(int id);
  void close_all();

 private:
  std::mutex mutex_;
  std::map<int, std::function<void()>> closers_;
  int next_ = 1;
  bool closed_ = false;
};

}  // namespace pouch::container
