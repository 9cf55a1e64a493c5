#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/log.h"
#include "core/base/status.h"

namespace pouch {

/// Threads that run what must go on when its caller gives up. Grows on demand up to `max_threads`; idle
/// threads end after some seconds. All signals are blocked on them. Thread-safe.
class Executor {
 public:
  explicit Executor(size_t max_threads = 64);
  ~Executor() { stop(); }
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// The task has the log scope of who submits it.
  void submit(std::function<void()> task);
  /// The root that records of its threads are about. Before the first task.
  void set_log_root(std::string root) { log_root_ = std::move(root); }
  /// Waits for what runs; what has not begun and what is submitted later is dropped. Not to be called by a
  /// task.
  void stop();

 private:
  void worker();
  void reap_finished();

  struct Task {
    std::function<void()> run;
    LogScope scope;
  };

  const size_t max_threads_;
  std::string log_root_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // Below protected by mutex_.
  std::deque<Task> tasks_;
  std::vector<std::thread> threads_;
  std::vector<std::thread::id> finished_;
  size_t idle_ = 0;
  bool stopping_ = false;
};

/// Starts a thread with every signal blocked, so that the host's handlers never run on it. Its records are
/// about the same root as those of this thread.
std::thread start_thread(std::function<void()> body);

/// Waits until `done()` (called with the lock held), the call's deadline or its cancellation, whichever is
/// first.
Status wait_for(std::unique_lock<std::mutex>& lock, std::condition_variable& condition, const Call& call,
                const std::function<bool()>& done);

/// Until `ms` have passed; the call's error when it is over before.
Status pause(const Call& call, int64_t ms);

/// Runs `work` on the executor and waits for it. When the call is cancelled or its deadline passes, the
/// caller is freed (well within 50 ms) while `work` goes on to its end; its result is then dropped.
/// `R` is Status or Result<T>.
template <class R>
R run_detached(Executor& executor, const Call& call, std::function<R()> work) {
  struct State {
    std::mutex mutex;
    std::condition_variable done;
    std::optional<R> result;

    void set(R value) {
      const std::lock_guard lock(mutex);
      if (result.has_value()) return;
      result.emplace(std::move(value));
      done.notify_all();
    }
  };
  // Goes with the task: a task dropped by stop() must not leave its caller waiting.
  struct Promise {
    std::shared_ptr<State> state;
    explicit Promise(std::shared_ptr<State> s) : state(std::move(s)) {}
    ~Promise() { state->set(Status(Code::kClosed, "closed before the operation could begin")); }
    Promise(const Promise&) = delete;
    Promise& operator=(const Promise&) = delete;
  };
  if (Status before = call.check(); !before.is_ok()) return before;
  auto state = std::make_shared<State>();
  executor.submit(
      [promise = std::make_shared<Promise>(state), work = std::move(work)] { promise->state->set(work()); });
  std::unique_lock lock(state->mutex);
  if (Status waited = wait_for(lock, state->done, call, [&] { return state->result.has_value(); });
      !waited.is_ok()) {
    return waited;
  }
  return std::move(*state->result);
}

}  // namespace pouch
