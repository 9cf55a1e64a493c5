#include "core/container/end_task.h"

#include <signal.h>

#include "core/ctrd/tasks.h"

namespace pouch::container {
namespace {

constexpr int64_t kEndMs = 10'000;
constexpr int64_t kRemoveMs = 60'000;

Call call_of(int64_t ms) {
  Call call;
  call.deadline = Deadline::after_ms(ms);
  return call;
}

}  // namespace

Status end_task(const ctrd::Client& client, const ContainerId& id) {
  const Status killed = client.tasks().kill(call_of(kEndMs), id, {}, SIGKILL, true);
  if (!killed.is_ok()) {
    const auto task = client.tasks().get(call_of(kEndMs), id);
    if (killed.code() == Code::kNotFound && !task.is_ok()) return {};
    // Else it has ended already, and the wait returns at once.
    if (task.is_ok() && task->status != ctrd::TaskStatus::kStopped) return killed;
  }
  // A task can be removed only when the shim has seen its end.
  client.tasks().wait(call_of(kEndMs), id).status().ignore();
  const Status removed = client.tasks().remove(call_of(kRemoveMs), id).status();
  return removed.code() == Code::kNotFound ? Status() : removed;
}

}  // namespace pouch::container
