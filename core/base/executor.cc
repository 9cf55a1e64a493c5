#include "core/base/executor.h"

#include <signal.h>

#include <algorithm>
#include <chrono>

namespace pouch {
namespace {

constexpr std::chrono::seconds kIdleLife{5};

}  // namespace

std::thread start_thread(std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // the new thread inherits the mask
  // Of the scope only the root: a thread outlives the call that has started it.
  std::thread thread([body = std::move(body), root = current_log_scope().root] {
    const LogScoped scoped({root, {}, {}});
    body();
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

Executor::Executor(size_t max_threads) : max_threads_(max_threads) {}

void Executor::stop() {
  std::vector<std::thread> threads;
  std::deque<Task> dropped;  // destroyed outside the lock, before the wait
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(tasks_);
    threads.swap(threads_);
  }
  wake_.notify_all();
  dropped.clear();
  for (std::thread& thread : threads) thread.join();
}

void Executor::submit(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  reap_finished();
  tasks_.push_back({std::move(task), current_log_scope()});
  if (idle_ < tasks_.size() && threads_.size() < max_threads_) {
    threads_.push_back(start_thread([this] { worker(); }));
  } else {
    wake_.notify_one();
  }
}

void Executor::reap_finished() {
  for (const std::thread::id id : finished_) {
    const auto at =
        std::find_if(threads_.begin(), threads_.end(), [id](const auto& t) { return t.get_id() == id; });
    at->join();  // it holds no lock any more
    threads_.erase(at);
  }
  finished_.clear();
}

void Executor::worker() {
  const LogScoped of_root({log_root_, {}, {}});
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    const bool woken = wake_.wait_for(lock, kIdleLife, [this] { return stopping_ || !tasks_.empty(); });
    --idle_;
    if (!tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      {
        const LogScoped scoped(std::move(task.scope));
        task.run();
      }
      task.run = nullptr;  // captured state is released outside the lock
      lock.lock();
      continue;
    }
    if (stopping_) return;
    if (!woken) {
      finished_.push_back(std::this_thread::get_id());
      return;
    }
  }
}

Status wait_for(std::unique_lock<std::mutex>& lock, std::condition_variable& condition, const Call& call,
                const std::function<bool()>& done) {
  int callback = 0;
  std::mutex* mutex = lock.mutex();
  if (call.cancel) {
    lock.unlock();
    callback = call.cancel->add([&condition, mutex] {
      const std::lock_guard guard(*mutex);  // no wake-up is lost between check and wait
      condition.notify_all();
    });
    lock.lock();
  }
  Status status;
  while (!done()) {
    status = call.check();
    if (!status.is_ok()) break;
    if (call.deadline.is_never()) {
      condition.wait(lock);
    } else {
      condition.wait_for(lock, std::chrono::nanoseconds(call.deadline.remaining_ns()));
    }
  }
  if (callback != 0) {
    lock.unlock();  // remove() waits for a running callback, which takes this lock
    call.cancel->remove(callback);
    lock.lock();
    if (done()) status = Status();
  }
  return status;
}

Status pause(const Call& call, int64_t ms) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  Call bounded = call;
  bounded.deadline = call.deadline.earlier(Deadline::after_ms(ms));
  wait_for(lock, never, bounded, [] { return false; }).ignore();
  return call.check();
}

}  // namespace pouch
