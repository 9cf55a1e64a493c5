#include <algorithm>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/container/manager_impl.h"

namespace pouch {

using container::ContainerRow;
using container::ProcessKey;
namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 60'000;
constexpr int64_t kFirstPauseMs = 250;
constexpr int64_t kLongestPauseMs = 10'000;
constexpr uint32_t kUnknownExit = 255;  // as containerd has it for a task whose shim is gone

// When it ended, as far as that is known.
std::optional<Timestamp> end_of(const std::optional<ctrd::ExitInfo>& exit) {
  if (!exit) return std::nullopt;
  return exit->exited_at.is_zero() ? Timestamp::now() : exit->exited_at;
}

}  // namespace

void ContainerManager::Impl::watch_process(const ProcessKey& key) {
  const auto client = containerd(own_call(kStepMs));
  if (!client.is_ok()) return;  // the keeper watches too
  ctrd::WaitHandle old;
  {
    const std::lock_guard lock(mutex);
    if (closed || waits.contains(key)) return;
    waits[key];  // taken
  }
  auto handle = (*client)->tasks().wait_async(
      key.container, key.exec,
      [this, key](const Result<ctrd::ExitInfo>& exit) { on_process_exit(key, exit); });
  const std::lock_guard lock(mutex);
  // Gone again: the callback has run already, or the manager closes; the handle must die outside the lock.
  if (const auto at = waits.find(key); at != waits.end() && !closed) {
    at->second = std::move(handle);
  } else {
    old = std::move(handle);
  }
}

void ContainerManager::Impl::forget_process(const ProcessKey& key) {
  ctrd::WaitHandle old;  // dies outside the lock, which its callback takes
  const std::lock_guard lock(mutex);
  if (const auto at = waits.find(key); at != waits.end()) {
    old = std::move(at->second);
    waits.erase(at);
  }
  exits.erase(key);
}

std::optional<ctrd::ExitInfo> ContainerManager::Impl::known_exit(const ProcessKey& key) {
  const std::lock_guard lock(mutex);
  const auto at = exits.find(key);
  return at == exits.end() ? std::nullopt : std::optional<ctrd::ExitInfo>(at->second);
}

// On a thread of the transport: quick.
void ContainerManager::Impl::on_process_exit(const ProcessKey& key, const Result<ctrd::ExitInfo>& exit) {
  {
    const std::lock_guard lock(mutex);
    if (closed) return;
    // The wait broke, which says nothing about the process: containerd has gone, or the shim alone.
    if (exit.is_ok()) exits[key] = *exit;
  }
  submit([this, key, ok = exit.is_ok()] {
    ctrd::WaitHandle done;
    {
      const std::lock_guard lock(mutex);
      if (const auto at = waits.find(key); at != waits.end()) {
        done = std::move(at->second);
        waits.erase(at);
      }
    }
    if (ok && is_keeper()) {
      submit_wait([this, key] { key.exec.empty() ? see_foreign_exit(key) : see_foreign_exec_exit(key); });
    } else if (ok) {
      key.exec.empty() ? handle_exit(key) : handle_exec_exit(key);
    } else if (key.exec.empty()) {
      submit_wait([this, key] { look_again(key); });
    }
  });
}

// Until containerd answers, or another has recorded the end.
void ContainerManager::Impl::look_again(const ProcessKey& key) {
  for (int64_t pause = kFirstPauseMs; nap(pause); pause = std::min(pause * 2, kLongestPauseMs)) {
    const auto row = load(key.container);
    const bool is_over = row.is_ok() && (!*row || (*row)->generation != key.generation ||
                                         !((*row)->state == state::kStarting || (*row)->is_running()));
    if (is_over) return;
    const Call call = own_call(kStepMs);
    const auto client = containerd(call);
    if (!client.is_ok()) continue;
    const auto task = (*client)->tasks().get(call, key.container);
    if (task.is_ok() && task->status != ctrd::TaskStatus::kStopped) return watch_process(key);
    if (!task.is_ok() && task.code() != Code::kNotFound) continue;
    ctrd::ExitInfo exit;
    exit.status = task.is_ok() ? task->exit_status : kUnknownExit;
    exit.exited_at = task.is_ok() ? task->exited_at : Timestamp::now();
    {
      const std::lock_guard lock(mutex);
      exits[key] = exit;
    }
    return is_keeper() ? see_foreign_exit(key) : handle_exit(key);
  }
}

Result<std::optional<ContainerRow>> ContainerManager::Impl::claim_exit(
    const ProcessKey& key, const std::string& expected_owner, const std::optional<ctrd::ExitInfo>& exit) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
  POUCH_ASSIGN_OR_RETURN(
      const int64_t changed,
      transaction.run(
          "UPDATE containers SET state = 'exiting', owner_token = ?3, exit_code = ?5, finished_ns = ?6 "
          "WHERE id = ?1 AND generation = ?2 AND state = 'running' AND coalesce(owner_token, '') = ?4",
          key.container, key.generation, context.owner_token, expected_owner,
          exit ? int64_t{exit->status} : 0, end_of(exit)));
  if (changed != 1) return std::optional<ContainerRow>();
  POUCH_ASSIGN_OR_RETURN(auto row, container::load_container(transaction, key.container));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return row;
}

void ContainerManager::Impl::handle_exit(const ProcessKey& key) {
  auto exit = known_exit(key);
  if (!exit) return;
  const auto claimed = claim_exit(key, context.owner_token, exit);
  if (!claimed.is_ok()) {
    log_error("container", "claim the exit: " + claimed.status().message(), key.container.str());
    return;
  }
  if (!*claimed) {  // another has it; or it is not yet running, and its start comes back to it
    const auto row = load(key.container);
    const bool starting =
        row.is_ok() && *row && (*row)->generation == key.generation && (*row)->state == state::kStarting;
    if (row.is_ok() && !starting) drop_exit(key);
    return;
  }
  drop_exit(key);
  if (const Status status = finish_exit(**claimed, exit); !status.is_ok()) {
    log_error("container", "handle the exit: " + status.message(), key.container.str());
    release_exit(key, exit);
    recover_later({key.container, key.generation, std::string(state::kExiting)});
  }
}

// Nobody's, and by the row alone: the task may be gone. The keeper, or whoever opens the root next, tries
// again.
void ContainerManager::Impl::release_exit(const ProcessKey& key, const std::optional<ctrd::ExitInfo>& exit) {
  auto transaction = context.db->begin(store::Durability::kBootScoped, own_call(kStepMs));
  if (!transaction.is_ok()) return;
  const auto changed = transaction->run(
      "UPDATE containers SET owner_token = NULL, exit_code = ?4, finished_ns = ?5 "
      "WHERE id = ?1 AND generation = ?2 AND owner_token = ?3 AND state = 'exiting'",
      key.container, key.generation, context.owner_token, exit ? int64_t{exit->status} : 0, end_of(exit));
  if (changed.is_ok()) transaction->commit().ignore();
}

Status ContainerManager::Impl::finish_exit(const ContainerRow& row, std::optional<ctrd::ExitInfo>& exit) {
  const Call call = own_call(kStepMs);
  container::Beside drain(*context.executor, [&] { return drain_stream(row.id.str()); });
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  const Status removed = insist([&]() -> Status {
    Status done;
    if (row.auto_remove && exit) {
      done = task_remover.remove(call, client, row.id);
    } else {  // its id may be used again at once
      const auto answer = client->tasks().remove(call, row.id);
      if (answer.is_ok() && !exit) exit = *answer;
      done = answer.status();
    }
    return done.code() == Code::kNotFound ? Status() : done;
  });
  if (!removed.is_ok()) {
    log_warning("container", "remove the task: " + removed.message(), row.id.str());
  }
  if (const Status drained = drain.join(); !drained.is_ok()) {
    log_warning("container", "drain the output: " + drained.message(), row.id.str());
  }
  // containerd's record stays until the next start or the removal, which do it beside other work.
  return commit_exit(row, exit);
}

Status ContainerManager::Impl::commit_exit(const ContainerRow& row,
                                           const std::optional<ctrd::ExitInfo>& exit) {
  POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, row.config());
  const int64_t code = exit ? int64_t{exit->status} : kUnknownExit;
  const Timestamp finished = end_of(exit).value_or(Timestamp::now());
  const std::string next(row.auto_remove ? state::kRemoving : state::kExited);
  const std::optional<std::string> owner =
      row.auto_remove ? std::optional<std::string>(context.owner_token) : std::nullopt;
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
    POUCH_ASSIGN_OR_RETURN(
        const int64_t changed,
        transaction.run("UPDATE containers SET state = ?4, owner_token = ?5, pid = 0, exit_code = ?6, "
                        "finished_ns = ?7, stopping = 0, paused = 0 "
                        "WHERE id = ?1 AND generation = ?2 AND owner_token = ?3 AND state = 'exiting'",
                        row.id, row.generation, context.owner_token, next, owner, code, finished));
    if (changed != 1) return {};  // taken over
    POUCH_RETURN_IF_ERROR(
        append_event(transaction, row, config, "die", {{"exitCode", std::to_string(code)}}));
    // What its networks are outside the keeper removes when it reads the event: that takes a while.
    POUCH_RETURN_IF_ERROR(networks.detach(transaction, row.id, row.generation));
    POUCH_ASSIGN_OR_RETURN(const bool has_volumes, tell_mounts(transaction, row.id, "unmount"));
    POUCH_RETURN_IF_ERROR(transaction.commit());
    if (has_volumes) volumes.sweep_soon();
  }
  return row.auto_remove ? remove_claimed(row) : Status();
}

}  // namespace pouch
