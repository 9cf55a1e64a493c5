#include "core/engine/keeper_watch.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/container/records.h"
#include "core/io/keeper_client.h"
#include "core/io/keeper_server.h"
#include "core/store/database.h"
#include "core/store/session_objects.h"

namespace pouch {
namespace {

constexpr int64_t kConnectMs = 1'000;  // the engine's closing may wait for it
constexpr int64_t kLaunchMs = 30'000;
constexpr int64_t kFirstPauseMs = 1'000;
constexpr int64_t kMaxPauseMs = 60'000;

}  // namespace

Result<std::unique_ptr<KeeperWatch>> KeeperWatch::create(EngineContext& context) {
  POUCH_ASSIGN_OR_RETURN(sys::EventFd stop, sys::EventFd::create());
  return std::unique_ptr<KeeperWatch>(new KeeperWatch(context, std::move(stop)));
}

KeeperWatch::~KeeperWatch() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  stop_.set();
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void KeeperWatch::begin() {
  const std::lock_guard lock(mutex_);
  is_used_ = true;
  wake_.notify_one();
  if (thread_.joinable() || is_closed_) return;
  thread_ = start_thread([this] {
    const LogScoped of_root({context_.root_id, {}, {}});
    while (wait_for_use()) follow();
  });
}

bool KeeperWatch::wait_for_use() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return is_used_ || is_closed_; });
  is_used_ = false;
  return !is_closed_;
}

// Until it has ended in order, or nobody needs one, or the engine is closed.
void KeeperWatch::follow() {
  int64_t pause_ms = kFirstPauseMs;
  while (true) {
    const auto keeper = io::KeeperClient::connect(context_.run_dir(), Deadline::after_ms(kConnectMs));
    if (keeper.is_ok()) {
      if (!(*keeper)->wait_end(stop_.fd())) return;
      pause_ms = kFirstPauseMs;
      continue;  // mostly its worker alone, and the next one answers
    }
    const bool is_stuck = keeper.code() == Code::kDeadlineExceeded;
    if (!is_stuck && (keeper.code() != Code::kUnavailable || !was_killed() || !is_needed())) return;
    if (!is_stuck && replace()) continue;
    if (!pause(pause_ms)) return;
    pause_ms = std::min(2 * pause_ms, kMaxPauseMs);
  }
}

// Who ends in order takes the socket away.
bool KeeperWatch::was_killed() const {
  return ::access((context_.run_dir() + "/" + io::kKeeperSocket).c_str(), F_OK) == 0;
}

bool KeeperWatch::is_needed() const {
  const auto look = [this]() -> Result<bool> {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto sessions, store::all_sessions(snapshot));
    POUCH_ASSIGN_OR_RETURN(const auto rows, container::all_containers(snapshot, true));
    return !sessions.empty() || std::any_of(rows.begin(), rows.end(), [this](const auto& row) {
      return !row.is_settled() && row.boot_id == context_.boot_id;
    });
  };
  const auto needed = look();
  if (!needed.is_ok()) log_warning("keeper", "see who needs it: " + needed.status().message());
  return needed.is_ok() && *needed;
}

bool KeeperWatch::replace() const {
  Call call;
  call.deadline = Deadline::after_ms(kLaunchMs);
  const Status replaced = context_.keeper(call).status();
  log_warning("keeper", replaced.is_ok() ? "its processes were all killed; there is another one now"
                                         : "replace the one that was killed: " + replaced.message());
  return replaced.is_ok();
}

// False when the engine is closed.
bool KeeperWatch::pause(int64_t ms) const {
  pollfd item = {stop_.fd(), POLLIN, 0};
  return ::poll(&item, 1, static_cast<int>(ms)) == 0;
}

}  // namespace pouch
