#include "core/container/task_remover.h"

#include <utility>

#include "core/base/executor.h"
#include "core/base/log.h"

namespace pouch::container {
namespace {

constexpr int64_t kAnswersMs = 10'000;

}  // namespace

void TaskRemover::listen(const std::shared_ptr<ctrd::Client>& client) {
  const std::lock_guard lock(mutex_);
  if (!watch_ && !is_closed_) watch_ = ctrd::Watch::start(client, *this);
}

Status TaskRemover::remove(const Call& call, const std::shared_ptr<ctrd::Client>& client,
                           const ContainerId& id) {
  const auto removal = std::make_shared<Removal>();
  {
    const std::lock_guard lock(mutex_);
    removals_[id.str()] = removal;
  }
  auto handle = client->tasks().remove_async(
      id, [this, id](const Result<ctrd::ExitInfo>& exit) { on_answer(id, exit.status()); });
  std::unique_lock lock(mutex_);
  // Answered already: the handle then dies with this frame, outside the lock.
  if (!removal->answer) removal->handle = std::move(handle);
  Status status =
      wait_for(lock, changed_, call, [&] { return removal->is_deleted || removal->answer.has_value(); });
  if (removal->answer) return *removal->answer;
  if (!status.is_ok()) {
    removals_.erase(id.str());
    handle = std::move(removal->handle);
    lock.unlock();  // for the handle's end
    handle.cancel();
  }
  return status;
}

void TaskRemover::on_answer(const ContainerId& id, Status status) {
  std::shared_ptr<Removal> removal;
  {
    const std::lock_guard lock(mutex_);
    const auto at = removals_.find(id.str());
    if (at == removals_.end()) return;
    removal = std::move(at->second);
    removals_.erase(at);
    if (removal->is_deleted && !status.is_ok() && status.code() != Code::kNotFound) {
      log_warning("container", "remove the task: " + status.message(), id.str());
    }
    removal->answer = std::move(status);
    // Under the lock: who sees the last answer may destroy this at once.
    changed_.notify_all();
  }
}

void TaskRemover::on_task_event(const ctrd::TaskEvent& event) {
  if (event.kind != ctrd::TaskEventKind::kDelete || !event.exec_id.empty()) return;
  const std::lock_guard lock(mutex_);
  const auto at = removals_.find(event.container_id.str());
  if (at == removals_.end()) return;
  at->second->is_deleted = true;
  changed_.notify_all();
}

void TaskRemover::close() {
  std::unique_ptr<ctrd::Watch> watch;
  std::map<std::string, std::shared_ptr<Removal>> left;
  {
    std::unique_lock lock(mutex_);
    is_closed_ = true;
    const Call call{Deadline::after_ms(kAnswersMs), nullptr, {}};
    wait_for(lock, changed_, call, [this] { return removals_.empty(); }).ignore();
    left.swap(removals_);
    watch.swap(watch_);
  }
  left.clear();
}

}  // namespace pouch::container
