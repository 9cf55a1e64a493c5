#include "core/base/cancel.h"

#include <algorithm>

namespace pouch {

void CancelToken::fire() {
  std::vector<std::pair<int, Callback>> callbacks;
  {
    const std::lock_guard lock(mutex_);
    if (fired_) return;
    fired_ = true;
    running_ = true;
    callbacks.swap(callbacks_);
  }
  for (auto& [id, callback] : callbacks) callback();
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
  }
  idle_.notify_all();
}

bool CancelToken::is_fired() const {
  const std::lock_guard lock(mutex_);
  return fired_;
}

int CancelToken::add(Callback callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!fired_) {
      callbacks_.emplace_back(next_id_, std::move(callback));
      return next_id_++;
    }
  }
  callback();
  return 0;
}

void CancelToken::remove(int id) {
  std::unique_lock lock(mutex_);
  std::erase_if(callbacks_, [id](const auto& entry) { return entry.first == id; });
  idle_.wait(lock, [this] { return !running_; });
}

Status Call::check() const {
  if (cancel && cancel->is_fired()) return {Code::kCancelled, "the call was cancelled by its caller"};
  if (deadline.has_passed()) return {Code::kDeadlineExceeded, "the call's deadline has passed"};
  return {};
}

}  // namespace pouch
