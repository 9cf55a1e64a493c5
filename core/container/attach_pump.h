#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/api/stream_pipe.h"
#include "core/base/status.h"
#include "core/io/keeper_client.h"

namespace pouch::container {

/// The way between a keeper's attach connection and a stream. Made once per attached client; the connection
/// may be replaced when the keeper's worker was restarted. Thread-safe.
class AttachPump {
 public:
  using Reconnect = std::function<Result<std::unique_ptr<io::AttachConnection>>()>;

  AttachPump(std::unique_ptr<io::AttachConnection> connection, Reconnect reconnect);

  const std::shared_ptr<StreamPipe>& pipe() const { return pipe_; }
  /// Moves output to the pipe until the keeper says that there is no more; its last frame. An error when the
  /// reader is gone or too slow, or the keeper is.
  Result<io::Frame> pump_output();
  /// Moves input to the process until either side ends. On a thread of its own.
  void pump_input();
  /// Wakes both pumps; they end.
  void stop();

 private:
  std::shared_ptr<io::AttachConnection> connection();
  Status reconnect();

  // Blocks rather than lags: a full pipe makes the keeper's side fill up, and it is the keeper who tells a
  // reader that is merely slow from one that stands still, and ends the latter with the log's position.
  const std::shared_ptr<StreamPipe> pipe_ = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const Reconnect reconnect_;
  std::mutex mutex_;
  std::shared_ptr<io::AttachConnection> connection_;  // protected by mutex_
  bool stopped_ = false;                              // protected by mutex_
};

/// What a client is told of the end: Ok where all output was sent.
Status status_of_end(const io::Frame& end);

}  // namespace pouch::container
