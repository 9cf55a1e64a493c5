#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/executor.h"
#include "core/container/attach_pump.h"
#include "core/container/background.h"
#include "core/container/records.h"
#include "core/events/event_log.h"
#include "core/io/keeper_client.h"

namespace pouch::container {

/// One start of an exec with the client that is attached to it.
class ExecRun : public std::enable_shared_from_this<ExecRun> {
 public:
  ExecRow row;
  ContainerRow container;
  api::ExecConfig config;
  bool detach = false;
  bool added = false;      ///< containerd may know it
  int64_t seq = 0;         ///< of the newest event when it was claimed
  Status failure;          ///< why it could not be started
  int64_t exit_code = -1;  ///< of that failure; -1: not the command's fault

  std::function<void()> on_detach;  ///< the client pressed the detach keys
  std::function<Status(uint32_t rows, uint32_t columns)> on_resize;

  bool failed_in_runtime() const { return exit_code >= 0; }
  /// Listens for its end. Before the start.
  void follow(events::EventLog& log);
  using FindKeeper = std::function<Result<std::shared_ptr<io::KeeperClient>>(Deadline)>;
  /// Subscribes to its output. Before the start, after its stdio was opened. `keeper` is called again when a
  /// worker has died.
  Status attach(FindKeeper keeper, Deadline deadline);
  /// The client's stream; output and input are moved on threads of `threads`.
  StreamPtr open(Executor& threads, const std::shared_ptr<Closers>& closers, Inflight& inflight);

 private:
  Result<std::string> run_output(StreamPipe& pipe);
  Result<std::string> await_exit();
  void stop();

  std::shared_ptr<AttachPump> pump_;
  events::Follower follower_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<int64_t> exited_;  // protected by mutex_
  bool stopped_ = false;           // protected by mutex_
};

/// What a client is told when the runtime could not run the command, and the exit code by Docker's rules.
/// `exit_code` stays -1 where the runtime did not speak.
Status exec_failure(const Status& reason, int64_t& exit_code);

}  // namespace pouch::container
