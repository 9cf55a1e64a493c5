#include "core/container/background.h"

#include <optional>

namespace pouch::container {

std::shared_ptr<void> Inflight::enter() {
  const std::lock_guard lock(mutex_);
  ++running_;
  return {nullptr, [this](void*) {
            const std::lock_guard guard(mutex_);
            if (--running_ == 0) idle_.notify_all();
          }};
}

void Inflight::wait_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return running_ == 0; });
}

struct Beside::State {
  std::mutex mutex;
  std::condition_variable done;
  std::function<Status()> step;  // empty once somebody has taken it
  std::optional<Status> result;

  // False when somebody else has taken the step.
  bool run() {
    std::function<Status()> mine;
    {
      const std::lock_guard lock(mutex);
      mine.swap(step);
    }
    if (!mine) return false;
    Status status = mine();
    mine = nullptr;
    const std::lock_guard lock(mutex);
    result = std::move(status);
    done.notify_all();
    return true;
  }
};

Beside::Beside(Executor& executor, std::function<Status()> step) : state_(std::make_shared<State>()) {
  state_->step = std::move(step);
  executor.submit([state = state_] { state->run(); });
}

Beside::~Beside() {
  join().ignore();
}

Status Beside::join() {
  state_->run();
  std::unique_lock lock(state_->mutex);
  state_->done.wait(lock, [this] { return state_->result.has_value(); });
  return *state_->result;
}

int Closers::add(std::function<void()> close) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      closers_.emplace(next_, std::move(close));
      return next_++;
    }
  }
  close();
  return 0;
}

void Closers::remove(int id) {
  std::function<void()> old;  // dies outside the lock
  const std::lock_guard lock(mutex_);
  if (const auto at = closers_.find(id); at != closers_.end()) {
    old = std::move(at->second);
    closers_.erase(at);
  }
}

void Closers::close_all() {
  std::map<int, std::function<void()>> all;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    all.swap(closers_);
  }
  for (const auto& [id, close] : all) close();
}

}  // namespace pouch::container
