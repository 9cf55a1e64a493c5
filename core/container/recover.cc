#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "core/base/log.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/container/end_task.h"
#include "core/container/freeze.h"
#include "core/container/manager_impl.h"
#include "core/ctrd/containers.h"
#include "core/ctrd/snapshots.h"
#include "core/sys/file.h"

namespace pouch {

using container::ContainerRow;
using container::ExecRow;
using container::ProcessKey;
namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 60'000;
constexpr int64_t kListMs = 5'000;
constexpr int64_t kKilled = 137;  // what becomes of an exec whose end nobody saw

std::optional<ctrd::ExitInfo> exit_of(const ctrd::TaskInfo* task) {
  if (task == nullptr || task->status != ctrd::TaskStatus::kStopped) return std::nullopt;
  ctrd::ExitInfo exit;
  exit.status = task->exit_status;
  exit.exited_at = task->exited_at;
  return exit;
}

// By who claimed the exit and died.
std::optional<ctrd::ExitInfo> noted_exit(const ContainerRow& row) {
  if (row.finished.is_zero()) return std::nullopt;
  ctrd::ExitInfo exit;
  exit.status = static_cast<uint32_t>(row.exit_code);
  exit.exited_at = row.finished;
  return exit;
}

bool runs(const ctrd::TaskInfo* task) {
  return task != nullptr &&
         (task->status == ctrd::TaskStatus::kRunning || task->status == ctrd::TaskStatus::kPaused ||
          task->status == ctrd::TaskStatus::kPausing);
}

// A pid alone says no more than that something may run; the keeper knows.
bool may_live(int64_t pid) {
  return pid > 0 && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH);
}

// A container to be removed at its end ends with the boot, begun or not, as with Docker.
bool ends_with_boot(const ContainerRow& row) {
  return row.auto_remove && (row.state == state::kCreated || row.state == state::kExited);
}

void warn(const std::string& what, const Status& status, const ContainerId& id) {
  if (!status.is_ok()) log_warning("container", what + ": " + status.message(), id.str());
}

}  // namespace

Result<ContainerManager::Impl::Tasks> ContainerManager::Impl::list_tasks(const Call& call) {
  Call bounded = call;
  bounded.deadline = call.deadline.earlier(Deadline::after_ms(kListMs));
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(bounded));
  POUCH_ASSIGN_OR_RETURN(const auto list, client->tasks().list(bounded));
  Tasks tasks;
  for (const ctrd::TaskInfo& task : list) {
    if (task.exec_id.empty()) tasks[task.id.str()] = task;
  }
  return tasks;
}

Status ContainerManager::Impl::reconcile(const Call& call) {
  const ScopeGuard sweep([this] {  // what ended in one way or another
    networks.sweep_soon();
    volumes.sweep_soon();
  });
  warn("let frozen containers go on",
       container::thaw_left(context, call, [this](const std::string& owner) { return is_orphan(owner); }),
       {});
  // The tasks first: a row without a task in the older list is looked at again before it is judged.
  std::vector<ContainerRow> rows;
  std::vector<ExecRow> execs;
  const auto read = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
    POUCH_ASSIGN_OR_RETURN(rows, container::all_containers(snapshot, true));
    POUCH_ASSIGN_OR_RETURN(execs, container::active_execs(snapshot));
    std::erase_if(rows, [&](const ContainerRow& row) {
      return row.is_settled() && !(ends_with_boot(row) && row.boot_id != context.boot_id);
    });
    return {};
  };
  POUCH_RETURN_IF_ERROR(read());
  if (!is_keeper()) {
    // What seems to be in order is left to the keeper, which shall be there; that spares an RPC at each open.
    const bool any_live = std::any_of(rows.begin(), rows.end(), [&](const ContainerRow& row) {
      return row.state == state::kRunning && row.boot_id == context.boot_id && may_live(row.pid);
    });
    const bool all_well =
        std::all_of(rows.begin(), rows.end(), [&](const ContainerRow& row) { return is_well(row); }) &&
        std::all_of(execs.begin(), execs.end(), [&](const ExecRow& row) {
          return row.boot_id == context.boot_id && (!is_orphan(row.owner) || may_live(row.pid));
        });
    if (any_live) submit([this] { context.keeper(own_call(kStepMs)).status().ignore(); });
    if (all_well) return {};
  }
  const auto tasks = list_tasks(call);
  if (!tasks.is_ok()) {
    log_warning("container", "compare with containerd's tasks: " + tasks.status().message());
  } else {
    POUCH_RETURN_IF_ERROR(read());
  }
  for (const ContainerRow& row : rows) recover_row(row, tasks.is_ok() ? &*tasks : nullptr);
  for (const ExecRow& exec : execs) recover_exec(exec);
  if (!is_keeper() || !tasks.is_ok()) return {};
  drop_stray_tasks(*tasks);
  drop_stray_streams();
  drop_stray_shims_soon();
  drop_stray_cgroups();
  drop_stray_folders();
  return drop_stray_snapshots();
}

bool ContainerManager::Impl::is_well(const ContainerRow& row) const {
  if (row.boot_id != context.boot_id) return false;
  return !is_orphan(row.owner) || (row.state == state::kRunning && may_live(row.pid));
}

bool ContainerManager::Impl::take_over(ContainerRow& row) {
  const auto take = [&]() -> Result<int64_t> {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
    POUCH_ASSIGN_OR_RETURN(
        const int64_t changed,
        transaction.run("UPDATE containers SET owner_token = ?2 WHERE id = ?1 AND state = ?3 AND "
                        "generation = ?4 AND coalesce(owner_token, '') = ?5",
                        row.id, context.owner_token, row.state, row.generation, row.owner));
    POUCH_RETURN_IF_ERROR(transaction.commit());
    return changed;
  };
  const auto changed = take();
  warn("take over", changed.status(), row.id);
  if (!changed.is_ok() || *changed != 1) return false;
  row.owner = context.owner_token;
  return true;
}

void ContainerManager::Impl::try_again_if(const std::string& what, const Status& failure,
                                          const ContainerRow& row, std::string_view transition) {
  warn(what, failure, row.id);
  if (!failure.is_ok()) recover_later({row.id, row.generation, std::string(transition)});
}

void ContainerManager::Impl::recover_row(const ContainerRow& row, const Tasks* tasks) {
  const bool old_boot = row.boot_id != context.boot_id;
  if (!old_boot && !is_left(row) && !(is_keeper() && row.state == state::kRunning)) return;
  static const Tasks kNone;
  if (tasks ==
      nullptr) {  // containerd is away: nothing is known, but that what ran before the boot has ended
    if (!old_boot || row.state == state::kRemoving || row.state == state::kCreating) return;
    tasks = &kNone;
  }
  const auto at = tasks->find(row.id.str());
  const ctrd::TaskInfo* task = at == tasks->end() || old_boot ? nullptr : &at->second;
  ContainerRow mine = row;
  if (row.state == state::kCreating) {
    recover_create(row);
  } else if (row.state == state::kStarting) {
    recover_start(row, task);
  } else if (row.state == state::kRunning) {
    recover_running(row, task);
  } else if (row.state == state::kExiting && take_over(mine)) {
    if (old_boot)
      return try_again_if("finish an exit", commit_exit(mine, std::nullopt), row, state::kExiting);
    const auto known = known_exit({row.id, row.generation, {}});
    auto exit = known ? known : task != nullptr ? exit_of(task) : noted_exit(row);
    try_again_if("finish an exit", finish_exit(mine, exit), row, state::kExiting);
  } else if (row.state == state::kRemoving && take_over(mine)) {
    warn("finish a removal", remove_claimed(mine), row.id);
  } else if (ends_with_boot(row)) {
    const auto claimed = claim_remove(row.id.str(), {});
    if (claimed.is_ok()) warn("remove what ended with the boot", remove_claimed(*claimed), row.id);
  }
}

void ContainerManager::Impl::recover_create(const ContainerRow& row) {
  ContainerRow mine = row;
  if (!take_over(mine)) return;
  const Call call = own_call(kStepMs);
  if (const auto client = containerd(call); client.is_ok()) {
    const Status removed = (*client)->snapshots().remove(call, row.snapshotter, row.snapshot_key);
    if (!removed.is_ok() && removed.code() != Code::kNotFound) {
      return try_again_if("undo a create", removed, row, state::kCreating);
    }
    // containerd may be about to make it: the request of a dead client goes on.
    if (!removed.is_ok()) drop_stray_snapshots_soon();
    if (const Status gone = remove_views(row, call); !gone.is_ok())
      return try_again_if("undo a create", gone, row, state::kCreating);
  }
  try_again_if("undo a create", forget_creating(row.id), row, state::kCreating);
}

Status ContainerManager::Impl::forget_creating(const ContainerId& id) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
  POUCH_ASSIGN_OR_RETURN(
      const int64_t ours,
      transaction.run("UPDATE containers SET pid = 0 WHERE id = ?1 AND state = 'creating'", id));
  if (ours != 1) return {};
  POUCH_ASSIGN_OR_RETURN(const auto dropped, release_mounts(transaction, id));
  POUCH_RETURN_IF_ERROR(transaction.run("DELETE FROM containers WHERE id = ?1", id).status());
  POUCH_RETURN_IF_ERROR(transaction.commit());
  remove_volumes(dropped);
  return {};
}

void ContainerManager::Impl::recover_start(const ContainerRow& row, const ctrd::TaskInfo* task) {
  container::StartJob job;
  job.row = row;
  if (!take_over(job.row)) return;
  job.previous_state = std::string(row.started.is_zero() ? state::kCreated : state::kExited);
  const auto config = row.config();
  if (!config.is_ok()) return warn("finish a start", config.status(), row.id);
  job.config = *config;
  job.has_record = true;
  job.has_task = task != nullptr;
  if (runs(task)) {
    warn("remove the mounts of a start",
         container::clear_staging(container::staging_dir(context.run_dir(), row.id, row.generation)), row.id);
    try_again_if("finish a start", commit_running(job, task->pid), row, state::kStarting);
    watch_process({row.id, row.generation, {}});
    return;
  }
  const Status why = unavailable("the process that was starting the container ended before it was done");
  try_again_if("undo a start", undo_start(job, why), row, state::kStarting);
}

void ContainerManager::Impl::recover_running(const ContainerRow& row, const ctrd::TaskInfo* task) {
  const ProcessKey key{row.id, row.generation, {}};
  const bool same_boot = row.boot_id == context.boot_id;
  std::optional<ctrd::TaskInfo> fresh;
  if (task == nullptr && same_boot) {  // it may be newer than the list
    const Call call = own_call(kListMs);
    const auto client = containerd(call);
    if (!client.is_ok()) return;
    const auto found = (*client)->tasks().get(call, row.id);
    if (!found.is_ok() && found.code() != Code::kNotFound)
      return warn("look for a task", found.status(), row.id);
    if (found.is_ok()) fresh = *found;
    if (fresh) task = &*fresh;
  }
  if (runs(task) || (task != nullptr && task->status == ctrd::TaskStatus::kCreated)) {
    if (is_keeper()) watch_process(key);
    return;
  }
  auto exit = exit_of(task);
  if (!is_left(row) && same_boot) {  // its starter sees it too; it has the right of way
    if (exit) {
      const std::lock_guard lock(mutex);
      exits[key] = *exit;
    }
    if (exit && is_keeper()) submit_wait([this, key] { see_foreign_exit(key); });
    return;
  }
  const auto claimed = claim_exit(key, row.owner, exit);
  if (!claimed.is_ok()) return warn("claim an exit", claimed.status(), row.id);
  if (!*claimed) return;
  drop_exit(key);
  const Status finished = same_boot ? finish_exit(**claimed, exit) : commit_exit(**claimed, std::nullopt);
  if (!finished.is_ok()) release_exit(key, exit);
  try_again_if("finish an exit", finished, row, state::kExiting);
}

void ContainerManager::Impl::recover_container(const ContainerId& id) {
  const auto row = load(id);
  if (!row.is_ok() || !*row || (*row)->is_settled()) return;
  const Call call = own_call(kListMs);
  Tasks tasks;
  const auto client = containerd(call);
  if (!client.is_ok()) return;
  const auto task = (*client)->tasks().get(call, id);
  if (task.is_ok()) {
    tasks[id.str()] = *task;
  } else if (task.code() != Code::kNotFound) {
    return warn("look for a task", task.status(), id);
  }
  recover_row(**row, &tasks);
}

void ContainerManager::Impl::recover_exec(const ExecRow& row) {
  const bool old_boot = row.boot_id != context.boot_id;
  if (!old_boot && !is_orphan(row.owner) && !is_keeper()) return;
  const auto made_in = load(row.container_id);
  const bool container_runs = !old_boot && made_in.is_ok() && *made_in && (*made_in)->is_running() &&
                              (*made_in)->generation == row.generation;
  const int64_t known_or_killed = row.exit_code.value_or(kKilled);
  if (!container_runs && !old_boot && !is_orphan(row.owner)) {
    return submit_wait([this, id = row.id] { finish_exec_after_starter(id, kKilled); });
  }
  if (!container_runs) return finish_exec(row, known_or_killed);
  const Call call = own_call(kListMs);
  const auto client = containerd(call);
  if (!client.is_ok()) return;
  const auto process = (*client)->tasks().get(call, row.container_id, row.id);
  if (process.is_ok() && process->status == ctrd::TaskStatus::kRunning) {
    if (is_keeper()) watch_process({row.container_id, row.generation, row.id});
    return;
  }
  if (!is_orphan(row.owner)) return;
  if (process.is_ok() && process->status == ctrd::TaskStatus::kStopped) {
    return finish_exec(row, process->exit_status);
  }
  if (process.is_ok() || process.code() == Code::kNotFound) finish_exec(row, known_or_killed);
}

// Only what no row knows: made by an engine that died, or left by a removal that could not end it.
void ContainerManager::Impl::drop_stray_tasks(const Tasks& tasks) {
  for (const auto& [name, task] : tasks) {
    const ContainerId id(name);
    const auto row = load(id);
    if (!row.is_ok() || (*row && !(*row)->is_settled())) continue;
    log_warning("container", "a task without a running container is ended", name);
    const Call call = own_call(kStepMs);
    const auto client = containerd(call);
    if (!client.is_ok()) return;
    warn("end a stray task", container::end_task(**client, id), id);
    (*client)->containers().remove(call, id).ignore();
  }
}

// A power cut may take a row that was not synced and leave its folder.
void ContainerManager::Impl::drop_stray_folders() {
  std::vector<std::string> names;
  std::error_code error;
  const std::string top = context.root_dir() + "/containers/";
  for (std::filesystem::directory_iterator at(top, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  for (const std::string& name : names) {
    const auto row = load(ContainerId(name));  // after the listing: the row is there before the folder
    if (!row.is_ok() || *row) continue;
    log_warning("container", "a folder without a container is removed", name);
    warn("remove a folder", sys::remove_tree(top + name), ContainerId(name));
  }
}

Status ContainerManager::Impl::drop_stray_snapshots() {
  const Call call = own_call(kStepMs);
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  const std::string& snapshotter = context.options.snapshotter;
  const ctrd::Filters ours{"labels.\"" + std::string(container::kSnapshotLabel) + "\""};
  // Listed before the rows are read: a create inserts its row first.
  POUCH_ASSIGN_OR_RETURN(const auto snapshots, client->snapshots().list(call, snapshotter, ours));
  for (const ctrd::SnapshotInfo& snapshot : snapshots) {
    if (snapshot.kind == ctrd::SnapshotKind::kCommitted) continue;
    const auto owner = snapshot.labels.find(container::kSnapshotLabel);
    if (owner == snapshot.labels.end()) continue;
    POUCH_ASSIGN_OR_RETURN(const auto row, load(ContainerId(owner->second)));
    if (row) continue;
    log_warning("container", "a root filesystem without a container is removed", snapshot.name);
    warn("remove a snapshot", client->snapshots().remove(call, snapshotter, snapshot.name),
         ContainerId(snapshot.name));
  }
  return {};
}

void ContainerManager::Impl::drop_stray_snapshots_soon() {
  constexpr int64_t kSoonMs = 1000;
  submit_wait([this] {
    Call call;
    call.deadline = Deadline::after_ms(kSoonMs);
    call.cancel = closing;
    const auto seq = context.events->last_seq();
    if (!seq.is_ok()) return;
    const auto waited = context.events->wait_for(*seq, call, [](const events::Event&) { return false; });
    if (waited.code() != Code::kDeadlineExceeded) return;  // the next engine's keeper does it
    if (const Status status = drop_stray_snapshots(); !status.is_ok()) {
      log_warning("container", "look for stray snapshots: " + status.message());
    }
  });
}

}  // namespace pouch
