#include <algorithm>
#include <condition_variable>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/container/manager_impl.h"

// What a step that failed leaves behind, and how it is tried again: a full disk has room some time later, a
// peer is started again.

namespace pouch {

using container::ContainerRow;

namespace {

constexpr int kTries = 3;
constexpr int64_t kPauseMs = 100;
constexpr int64_t kFirstPauseMs = 250;
constexpr int64_t kLongestPauseMs = 10'000;
constexpr int64_t kStepMs = 60'000;

}  // namespace

bool ContainerManager::Impl::nap(int64_t ms) const {
  std::mutex own;
  std::condition_variable never;
  Call call;
  call.deadline = Deadline::after_ms(ms);
  call.cancel = closing;
  std::unique_lock lock(own);
  return wait_for(lock, never, call, [] { return false; }).code() == Code::kDeadlineExceeded;
}

Status ContainerManager::Impl::insist(const std::function<Status()>& step) const {
  Status done = step();
  for (int i = 1; i < kTries && !done.is_ok() && nap(kPauseMs); ++i) done = step();
  return done;
}

Status ContainerManager::Impl::drain_stream(const std::string& stream_id) {
  return insist([&]() -> Status {
    const Call call = own_call(kStepMs);
    POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(call));
    return keeper->drain(stream_id, call.deadline).status();
  });
}

Status ContainerManager::Impl::discard_stream(const std::string& stream_id, const std::string& reason) {
  return insist([&]() -> Status {
    const Call call = own_call(kStepMs);
    POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(call));
    return keeper->discard(stream_id, reason, call.deadline);
  });
}

bool ContainerManager::Impl::is_left(const ContainerRow& row) {
  if (!is_mine(row.owner)) return is_orphan(row.owner);
  const std::lock_guard lock(mutex);
  return unfinished.contains({row.id, row.generation, row.state});
}

// Not recover_later(): that would finish the start of a process that runs, and the caller was told that it
// has failed.
void ContainerManager::Impl::undo_later(const std::shared_ptr<container::StartJob>& job, const Status& why) {
  submit_wait([this, job, why] {
    for (int64_t pause = kFirstPauseMs; nap(pause); pause = std::min(pause * 2, kLongestPauseMs)) {
      if (undo_start(*job, why).is_ok()) return;
    }
  });
}

void ContainerManager::Impl::recover_later(const container::Transition& left) {
  {
    const std::lock_guard lock(mutex);
    if (closed || !unfinished.insert(left).second) return;
  }
  submit_wait([this, left] {
    // Ends also when the engine is closed: then its owner is dead, and the next one does it.
    for (int64_t pause = kFirstPauseMs; nap(pause); pause = std::min(pause * 2, kLongestPauseMs)) {
      recover_container(left.container);
      const auto row = load(left.container);
      if (!row.is_ok()) continue;
      const bool is_same = *row && (*row)->generation == left.generation && (*row)->state == left.state;
      if (!is_same || !is_left(**row)) break;
    }
    const std::lock_guard lock(mutex);
    unfinished.erase(left);
  });
}

}  // namespace pouch
