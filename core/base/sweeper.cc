#include "core/base/sweeper.h"

#include <utility>

#include "core/base/log.h"

namespace pouch {

Sweeper::Sweeper(Job job) : job_(std::move(job)), state_(std::make_shared<State>()) {}

void Sweeper::close() {
  std::unique_lock lock(state_->mutex);
  state_->closed = true;
  state_->idle.wait(lock, [this] { return !state_->running && state_->operations == 0; });
}

std::shared_ptr<void> Sweeper::enter() {
  const std::lock_guard lock(state_->mutex);
  ++state_->operations;
  // Not a pointer to anything: what counts is when the last copy goes.
  return {state_.get(), [state = state_](void*) {
            const std::lock_guard guard(state->mutex);
            if (--state->operations == 0) state->idle.notify_all();
          }};
}

void Sweeper::note_end(const std::string& key, const Status& done) {
  bool is_new = false;
  {
    const std::lock_guard lock(state_->mutex);
    if (done.is_ok()) {
      state_->abandoned.erase(key);
    } else {
      is_new = state_->abandoned.insert(key).second;
    }
  }
  if (is_new) soon();
}

bool Sweeper::is_abandoned(const std::string& key) const {
  const std::lock_guard lock(state_->mutex);
  return state_->abandoned.contains(key);
}

void Sweeper::soon() {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->closed || std::exchange(state_->running, true)) {
      state_->again = true;
      return;
    }
  }
  job_.submit([this, state = state_] { run(state); });
}

// On another thread; `this` is not used any more once close() may return.
void Sweeper::run(const std::shared_ptr<State>& state) {
  while (true) {
    const Status swept = job_.sweep();
    if (!swept.is_ok()) log_warning(job_.component, job_.failure + ": " + swept.message());
    const std::lock_guard lock(state->mutex);
    if (std::exchange(state->again, false) && !state->closed) continue;
    state->running = false;
    state->idle.notify_all();
    return;
  }
}

}  // namespace pouch
