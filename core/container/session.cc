#include <signal.h>

#include <deque>

#include "core/base/log.h"
#include "core/container/manager_impl.h"
#include "core/store/session_objects.h"

// The end of a session, in the keeper: what it has made is removed, whatever state it is in.

namespace pouch {

namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 10'000;
constexpr int64_t kLookMs = 200;
constexpr size_t kSideBySide = 16;
/// On the destroy event: the session with which the container went.
constexpr const char* kSessionAttribute = "io.pouch.session";

}  // namespace

Status ContainerManager::Impl::end_session_execs(const std::string& session) {
  std::vector<container::ExecRow> running;
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
    POUCH_ASSIGN_OR_RETURN(const auto ids,
                           store::objects_of_session(transaction, session, store::kind::kExec));
    for (const std::string& id : ids) {
      auto exec = container::find_exec(transaction, id);
      if (exec.is_ok() && (exec->state == state::kRunning || exec->state == state::kStarting)) {
        running.push_back(std::move(*exec));
        continue;  // its claim goes with the next look
      }
      POUCH_RETURN_IF_ERROR(store::disclaim(transaction, session, store::kind::kExec, id));
    }
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  if (running.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(own_call(kStepMs)));
  for (const container::ExecRow& exec : running) {
    if (is_orphan(exec.owner)) recover_exec(exec);
    const Status killed = client->tasks().kill(own_call(kStepMs), exec.container_id, exec.id, SIGKILL, false);
    if (!killed.is_ok() && killed.code() != Code::kNotFound) {
      log_warning("container", "end an exec of a session: " + killed.message(), exec.container_id.str());
    }
  }
  return unavailable("execs are still running");
}

Status ContainerManager::Impl::remove_of_session(const std::string& session, const ContainerId& id) {
  POUCH_ASSIGN_OR_RETURN(const auto row, load(id));
  if (!row) return {};
  if (row->state == state::kCreating) {
    if (is_orphan(row->owner)) recover_container(id);
    return unavailable("container " + id.str() + " is being created");
  }
  const Status removed = remove_now(id.str(), {true, true, {{kSessionAttribute, session}}});
  return removed.code() == Code::kNotFound ? Status() : removed;
}

Status ContainerManager::Impl::remove_session(const std::string& session, const Call& call) {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const int64_t seq, context.events->last_seq());
    std::vector<std::string> ids;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
      POUCH_ASSIGN_OR_RETURN(ids, store::objects_of_session(snapshot, session, store::kind::kContainer));
    }
    Status outcome;
    for (size_t begin = 0; begin < ids.size(); begin += kSideBySide) {
      std::deque<container::Beside> steps;
      for (size_t i = begin; i < std::min(ids.size(), begin + kSideBySide); ++i) {
        steps.emplace_back(
            *waiters, [this, &session, id = ContainerId(ids[i])] { return remove_of_session(session, id); });
      }
      for (container::Beside& step : steps) {
        if (Status status = step.join(); !status.is_ok()) outcome = std::move(status);
      }
    }
    if (ids.empty()) outcome = end_session_execs(session);
    if (ids.empty() && outcome.is_ok()) return {};
    if (!call.check().is_ok()) return outcome;
    if (outcome.is_ok()) continue;
    if (outcome.code() != Code::kUnavailable) return outcome;
    Call pause = call;
    pause.deadline = call.deadline.earlier(Deadline::after_ms(kLookMs));
    context.events->wait_for_change(seq, pause).status().ignore();
  }
}

}  // namespace pouch
