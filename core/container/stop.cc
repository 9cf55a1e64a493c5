#include <signal.h>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/container/manager_impl.h"
#include "core/container/signals.h"

namespace pouch {

using container::ContainerRow;
using container::SeenContainer;
namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 30'000;
constexpr int64_t kKillMs = 30'000;  // for a SIGKILL to be seen
constexpr int64_t kDefaultStopSeconds = 10;

// containerd has no own word for a process that has ended but is not yet removed, nor for a shim that goes
// while it is asked, with its process or right after it.
bool tells_the_end(const Status& sent) {
  const std::string& message = sent.message();
  return sent.code() == Code::kNotFound || message.find("process already finished") != std::string::npos ||
         message.find("ttrpc: closed") != std::string::npos;
}

}  // namespace

Status ContainerManager::Impl::send_signal(const ContainerRow& row, int signal, bool all) {
  const Call call = own_call(kStepMs);
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  const Status sent = client->tasks().kill(call, row.id, {}, signal, all);
  if (tells_the_end(sent)) return not_found("the process has ended");
  if (!sent.is_ok()) return foreign_reason(sent);
  tell(row, "kill", {{"signal", std::to_string(signal)}});
  return {};
}

Status ContainerManager::Impl::await_exit(const SeenContainer& seen, Deadline deadline) {
  Call call;
  call.deadline = deadline;
  call.cancel = closing;
  return context.events
      ->wait_for(seen.seq, call,
                 [id = seen.row.id.str()](const events::Event& event) {
                   return event.type == "container" && event.actor_id == id &&
                          (event.action == "die" || event.action == "destroy");
                 })
      .status();
}

Status ContainerManager::Impl::await_removal(const SeenContainer& seen, Deadline deadline) {
  Call call;
  call.deadline = deadline;
  call.cancel = closing;
  return context.events
      ->wait_for(seen.seq, call,
                 [id = seen.row.id.str()](const events::Event& event) {
                   return event.type == "container" && event.actor_id == id &&
                          (event.action == "destroy" || event.action == "remove_failed");
                 })
      .status();
}

Result<SeenContainer> ContainerManager::Impl::see_started(const std::string& reference) {
  POUCH_ASSIGN_OR_RETURN(SeenContainer seen, see(reference));
  if (seen.row.state != state::kStarting) return seen;
  POUCH_RETURN_IF_ERROR(await_settled(seen.row.id, Deadline::after_ms(kStepMs)));
  return see(seen.row.id.str());
}

Status ContainerManager::Impl::kill_and_wait(const SeenContainer& seen) {
  const Status sent = send_signal(seen.row, SIGKILL, false);
  if (!sent.is_ok() && sent.code() != Code::kNotFound) return sent;
  return await_exit(seen, Deadline::after_ms(kKillMs));
}

Status ContainerManager::Impl::kill(const std::string& reference, const api::ContainerKillOptions& options,
                                    const Call& call) {
  const std::string text = options.signal.value_or("");
  POUCH_ASSIGN_OR_RETURN(const int signal, container::parse_signal(text.empty() ? "SIGKILL" : text));
  return detached_wait<Status>(call, [this, reference, signal]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const SeenContainer seen, see_started(reference));
    const std::string prefix = "Cannot kill container: " + reference + ": ";
    const Status not_running = conflict(prefix + "Container " + seen.row.id.str() + " is not running");
    if (seen.row.state != state::kRunning) return not_running;
    const Status sent = send_signal(seen.row, signal, false);
    if (sent.code() == Code::kNotFound) return not_running;
    if (!sent.is_ok()) return {sent.code(), prefix + sent.message()};
    if (signal != SIGKILL) return {};
    // As in Docker a killed container has ended when this returns.
    return await_exit(seen, Deadline::after_ms(kKillMs)).prefix("kill container " + quote(reference));
  });
}

Status ContainerManager::Impl::stop_now(const SeenContainer& seen, int signal, int64_t seconds) {
  const ContainerRow& row = seen.row;
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
    POUCH_RETURN_IF_ERROR(transaction
                              .run("UPDATE containers SET stopping = 1 WHERE id = ?1 AND generation = ?2 AND "
                                   "state IN ('running', 'exiting')",
                                   row.id, row.generation)
                              .status());
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  const Status sent = send_signal(row, signal, false);
  if (!sent.is_ok() && sent.code() != Code::kNotFound) return sent;
  const Deadline grace = seconds < 0 ? Deadline::never() : Deadline::after_ms(seconds * 1000);
  Status ended = await_exit(seen, grace);
  if (ended.code() == Code::kDeadlineExceeded) ended = kill_and_wait(seen);
  if (!ended.is_ok()) return ended;
  tell(row, "stop");
  return {};
}

Status ContainerManager::Impl::stop(const std::string& reference, const api::ContainerStopOptions& options,
                                    const Call& call) {
  if (!options.signal.value_or("").empty()) {
    POUCH_RETURN_IF_ERROR(container::parse_signal(*options.signal).status());
  }
  if (options.t.value_or(0) > 1'000'000'000) return invalid_argument("t: too many seconds");
  return detached_wait<Status>(call, [this, reference, options]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const SeenContainer seen, see_started(reference));
    if (!seen.row.is_running()) {
      return {Code::kNotModified, "container " + reference + " is not running"};
    }
    POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, seen.row.config());
    std::string text = options.signal.value_or("");
    if (text.empty()) text = config.stop_signal.value_or("");
    POUCH_ASSIGN_OR_RETURN(const int signal, container::parse_signal(text.empty() ? "SIGTERM" : text));
    const int64_t seconds = options.t.value_or(config.stop_timeout.value_or(kDefaultStopSeconds));
    const Status stopped = stop_now(seen, signal, seconds);
    return stopped.is_ok() ? stopped : stopped.prefix("cannot stop container: " + reference);
  });
}

}  // namespace pouch
