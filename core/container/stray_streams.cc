#include "core/base/log.h"
#include "core/container/manager_impl.h"
#include "core/io/keeper_client.h"

// Streams whose end nobody will tell the keeper: an engine died between opening one and the rest of the
// start, and what it was for was removed before anybody looked.

namespace pouch {

namespace {

constexpr int64_t kStepMs = 60'000;

}  // namespace

Result<bool> ContainerManager::Impl::is_stray(const io::StreamInfo& stream) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
  if (stream.stream_id == stream.container_id) {
    POUCH_ASSIGN_OR_RETURN(const auto row,
                           container::load_container(snapshot, ContainerId(stream.container_id)));
    return !row || row->is_settled();
  }
  const auto exec = container::find_exec(snapshot, stream.stream_id);
  if (exec.code() == Code::kNotFound) return true;
  if (!exec.is_ok()) return exec.status();
  return exec->state == container::state::kCreated || exec->state == container::state::kExited;
}

void ContainerManager::Impl::drop_stray_streams() {
  const Call call = own_call(kStepMs);
  const auto drop = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(call));
    // Listed before the rows are read: a start writes its row first.
    POUCH_ASSIGN_OR_RETURN(const io::KeeperStatus status, keeper->status(call.deadline));
    for (const io::StreamInfo& stream : status.streams) {
      POUCH_ASSIGN_OR_RETURN(const bool is_nobodys, is_stray(stream));
      if (!is_nobodys) continue;
      log_warning("container", "output that belongs to no process is closed", stream.container_id);
      POUCH_RETURN_IF_ERROR(keeper->drain(stream.stream_id, call.deadline, stream.generation).status());
    }
    return {};
  };
  if (const Status done = drop(); !done.is_ok()) {
    log_warning("container", "look for output of nobody: " + done.message());
  }
}

}  // namespace pouch
