#include <algorithm>

#include "core/container/manager_impl.h"

namespace pouch {

using container::ExecRow;
using container::SeenContainer;
namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 30'000;
constexpr int64_t kStartMs = 10'000;  // for an exec to be started, as Docker waits
constexpr int64_t kLookMs = 200;      // a failed start tells no event
constexpr int64_t kMaxSize = 65535;   // of the kernel's winsize

Status check_size(int64_t rows, int64_t columns) {
  const auto is_good = [](int64_t size) { return size >= 0 && size <= kMaxSize; };
  if (is_good(rows) && is_good(columns)) return {};
  return invalid_argument("invalid size of a terminal: " + std::to_string(rows) + " rows, " +
                          std::to_string(columns) + " columns; each is 0 to 65535");
}

// containerd has several words for a process that is not there.
bool has_ended(const Status& status) {
  return status.code() == Code::kNotFound || status.code() == Code::kConflict ||
         status.message().find("process already finished") != std::string::npos;
}

}  // namespace

Status ContainerManager::Impl::resize_pty(const ContainerId& id, const ExecId& exec, int64_t rows,
                                          int64_t columns) {
  const Call call = own_call(kStepMs);
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  return client->tasks().resize_pty(call, id, exec, static_cast<uint32_t>(columns),
                                    static_cast<uint32_t>(rows));
}

Status ContainerManager::Impl::resize(const std::string& reference, int64_t rows, int64_t columns,
                                      const Call& call) {
  POUCH_RETURN_IF_ERROR(check_size(rows, columns));
  return detached_wait<Status>(call, [this, reference, rows, columns]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const SeenContainer seen, see_started(reference));
    const Status not_running = conflict("Container " + seen.row.id.str() + " is not running");
    if (seen.row.state != state::kRunning) return not_running;
    const Status resized = resize_pty(seen.row.id, {}, rows, columns);
    if (!resized.is_ok()) return has_ended(resized) ? not_running : foreign_reason(resized);
    tell(seen.row, "resize", {{"height", std::to_string(rows)}, {"width", std::to_string(columns)}});
    return {};
  });
}

Result<ExecRow> ContainerManager::Impl::see_started_exec(const std::string& id, Deadline deadline) {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const int64_t seq, context.events->last_seq());
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
    POUCH_ASSIGN_OR_RETURN(ExecRow row, container::find_exec(snapshot, id));
    const bool may_start = row.state == state::kCreated || row.state == state::kStarting;
    if (!may_start || deadline.has_passed()) return row;
    Call look;
    look.deadline = deadline.earlier(Deadline::after_ms(kLookMs));
    look.cancel = closing;
    if (context.events->wait_for_change(seq, look).code() == Code::kCancelled) {
      return Status(Code::kClosed, "the engine is being closed");
    }
  }
}

Status ContainerManager::Impl::exec_resize(const std::string& id, int64_t rows, int64_t columns,
                                           const Call& call) {
  POUCH_RETURN_IF_ERROR(check_size(rows, columns));
  return detached_wait<Status>(call, [this, id, rows, columns, deadline = call.deadline]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const ExecRow row,
                           see_started_exec(id, deadline.earlier(Deadline::after_ms(kStartMs))));
    const Status not_running = conflict("exec " + id + " is not running");
    if (row.state != state::kRunning) return not_running;
    const Status resized = resize_pty(row.container_id, row.id, rows, columns);
    return !resized.is_ok() && has_ended(resized) ? not_running : foreign_reason(resized);
  });
}

}  // namespace pouch
