#include "core/container/exit_watch.h"

#include "core/base/log.h"
#include "core/container/manager_impl.h"

namespace pouch {

using container::ExecRow;
using container::ProcessKey;
namespace state = container::state;

namespace {

constexpr int64_t kGraceMs = 250;  // the starter's right of way
constexpr int64_t kNextGraceMs = 1000;
constexpr int64_t kStartGraceMs = 5000;  // from a task's start to the row's
constexpr int64_t kStepMs = 60'000;

}  // namespace

namespace container {

ExitWatch::~ExitWatch() {
  follower_.cancel();
  watch_.reset();
}

Status ExitWatch::start() {
  POUCH_ASSIGN_OR_RETURN(const int64_t seq, manager_.context.events->last_seq());
  follower_ = manager_.context.events->follow(seq, [this](const events::Event& event) { on_event(event); });
  POUCH_ASSIGN_OR_RETURN(const auto client, manager_.containerd(manager_.own_call(kStepMs)));
  watch_ = ctrd::Watch::start(client, *this);
  return {};
}

// What is submitted here may outlive this object, but not the manager.
void ExitWatch::on_event(const events::Event& event) {
  if (event.type != "container") return;
  const ContainerId id(event.actor_id);
  if (event.action == "die") {
    manager_.networks.sweep_soon();
    manager_.submit([&manager = manager_, id] { manager.drop_stray_cgroup_soon(id); });
  } else if (event.action == "start") {
    manager_.submit([&manager = manager_, id] {
      const auto row = manager.load(id);
      if (row.is_ok() && *row && (*row)->state == state::kRunning) {
        manager.watch_process({id, (*row)->generation, {}});
      }
    });
  } else if (event.action.starts_with("exec_start")) {
    const auto exec = event.attributes.find("execID");
    if (exec == event.attributes.end()) return;
    manager_.submit([&manager = manager_, exec_id = exec->second] {
      auto snapshot = manager.context.db->read();
      if (!snapshot.is_ok()) return;
      const auto row = container::find_exec(*snapshot, exec_id);
      if (row.is_ok() && row->state == state::kRunning) {
        manager.watch_process({row->container_id, row->generation, row->id});
      }
    });
  }
}

void ExitWatch::on_task_event(const ctrd::TaskEvent& event) {
  if (!event.exec_id.empty()) return;
  if (event.kind == ctrd::TaskEventKind::kOom) {
    manager_.submit([&manager = manager_, id = event.container_id] { manager.record_oom(id); });
  } else if (event.kind == ctrd::TaskEventKind::kStart) {
    manager_.submit_wait([&manager = manager_, id = event.container_id] { manager.see_foreign_start(id); });
  }
}

// A private containerd that has died is started again by who asks for it.
void ExitWatch::before_connect() {
  const auto client = manager_.containerd(manager_.own_call(kStepMs));
  if (!client.is_ok()) log_debug("container", client.status().message());
}

void ExitWatch::on_resync() {
  manager_.submit([&manager = manager_] {
    const Status status = manager.reconcile(manager.own_call(kStepMs));
    if (!status.is_ok()) log_warning("container", "reconcile: " + status.message());
  });
}

void ExitWatch::on_disconnect(const Status& why) {
  log_warning("container", "containerd's events: " + why.message());
}

}  // namespace container

void ContainerManager::Impl::drop_exit(const ProcessKey& key) {
  const std::lock_guard lock(mutex);
  exits.erase(key);
}

void ContainerManager::Impl::see_foreign_exit(const ProcessKey& key) {
  for (int round = 0;; ++round) {
    const auto seq = context.events->last_seq();
    const auto row = load(key.container);
    if (!seq.is_ok() || !row.is_ok()) return;
    const bool over = !*row || (*row)->generation != key.generation ||
                      !((*row)->is_running() || (*row)->state == state::kStarting);
    if (over) return drop_exit(key);
    const bool orphan = is_orphan((*row)->owner);
    if ((*row)->state == state::kRunning && (orphan || round > 0)) {
      auto exit = known_exit(key);
      const auto claimed = claim_exit(key, (*row)->owner, exit);
      if (claimed.is_ok() && *claimed) {
        drop_exit(key);
        const Status finished = finish_exit(**claimed, exit);
        if (finished.is_ok()) return;
        log_error("container", "handle the exit: " + finished.message(), key.container.str());
        release_exit(key, exit);
        return recover_later({key.container, key.generation, std::string(state::kExiting)});
      }
      if (claimed.is_ok()) continue;
      log_error("container", "claim the exit: " + claimed.status().message(), key.container.str());
    }
    if (orphan && (*row)->state != state::kRunning) return recover_container(key.container);
    Call call;
    call.deadline = Deadline::after_ms(round == 0 ? kGraceMs : kNextGraceMs);
    call.cancel = closing;
    const auto died = context.events->wait_for(*seq, call, [&](const events::Event& event) {
      return event.actor_id == key.container.str() && (event.action == "die" || event.action == "destroy");
    });
    if (died.is_ok()) return drop_exit(key);
    if (died.code() == Code::kCancelled) return;
  }
}

void ContainerManager::Impl::see_foreign_exec_exit(const ProcessKey& key) {
  if (const auto exit = known_exit(key)) finish_exec_after_starter(key.exec, exit->status);
  drop_exit(key);
}

void ContainerManager::Impl::finish_exec_after_starter(const ExecId& id, int64_t exit_code) {
  for (int round = 0;; ++round) {
    const auto seq = context.events->last_seq();
    const auto row = [&]() -> Result<ExecRow> {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
      return container::find_exec(snapshot, id.str());
    }();
    if (!seq.is_ok() || !row.is_ok() || row->state == state::kExited) return;
    if (is_orphan(row->owner) || (round > 0 && row->state != state::kStarting)) {
      return finish_exec(*row, row->exit_code.value_or(exit_code));
    }
    Call call;
    call.deadline = Deadline::after_ms(kNextGraceMs);
    call.cancel = closing;
    const auto died = context.events->wait_for(*seq, call, [&](const events::Event& event) {
      const auto exec = event.attributes.find("execID");
      return event.action == "exec_die" && exec != event.attributes.end() && exec->second == id.str();
    });
    if (died.is_ok() || died.code() == Code::kCancelled) return;
  }
}

// A start whose starter died before it was told: the row says starting and nobody is there to go on.
void ContainerManager::Impl::see_foreign_start(const ContainerId& id) {
  const Deadline deadline = Deadline::after_ms(kStartGraceMs);
  const Status settled = await_settled(id, deadline);
  if (!settled.is_ok() && settled.code() != Code::kClosed) {
    log_debug("container", "a start takes long: " + settled.message(), id.str());
  }
}

void ContainerManager::Impl::record_oom(const ContainerId& id) {
  const auto write = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
    POUCH_ASSIGN_OR_RETURN(const auto row, container::load_container(transaction, id));
    if (!row) return {};
    POUCH_RETURN_IF_ERROR(transaction.run("UPDATE containers SET oom_killed = 1 WHERE id = ?1", id).status());
    POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, row->config());
    POUCH_RETURN_IF_ERROR(append_event(transaction, *row, config, "oom"));
    return transaction.commit();
  };
  if (const Status status = write(); !status.is_ok()) {
    log_warning("container", "record an OOM kill: " + status.message(), id.str());
  }
}

}  // namespace pouch
