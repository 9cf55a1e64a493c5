#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "core/base/status.h"

namespace pouch {

/// What a manager does beside its operations for what was left half-way: one sweep at a time, and one more
/// for what was asked meanwhile. Knows which changes failed here, and waits for operations at the end.
/// Thread-safe.
class Sweeper {
 public:
  struct Job {
    std::string component;  ///< for the log
    std::string failure;    ///< "unmount what ended containers left": how a failure is logged
    std::function<Status()> sweep;
    /// Runs it on another thread.
    std::function<void(std::function<void()>)> submit;
  };

  explicit Sweeper(Job job);
  ~Sweeper() { close(); }
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;

  void soon();
  /// Waits for the sweep that runs and for all operations; there are no further sweeps.
  void close();
  /// An operation has begun, and goes on until the last copy of the answer goes.
  std::shared_ptr<void> enter();
  /// A change of `key` was tried here. When it failed half-way a sweep, which comes soon, goes on with it.
  void note_end(const std::string& key, const Status& done);
  /// Whether the last change of `key` here failed.
  bool is_abandoned(const std::string& key) const;

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable idle;
    // Below protected by mutex.
    bool running = false;
    bool again = false;
    bool closed = false;
    int operations = 0;
    std::set<std::string> abandoned;
  };

  void run(const std::shared_ptr<State>& state);

  const Job job_;
  const std::shared_ptr<State> state_;  // which an operation's end may need when we are gone
};

}  // namespace pouch
