#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/api/detach_keys.h"
#include "core/api/stream_pipe.h"
#include "core/base/status.h"
#include "core/io/keeper_client.h"

namespace pouch::container {

/// The way between a keeper's attach connection and a stream. Made once per attached client; the connection
/// may be replaced when the keeper's worker was restarted. Thread-safe.
class AttachPump {
 public:
  /// After the death of the keeper's worker; with the position reached, where the keeper can go on from
  /// there. A null connection: there is nothing more to come.
  using Reconnect =
      std::function<Result<std::unique_ptr<io::AttachConnection>>(const std::optional<io::AttachPosition>&)>;

  /// `keys`: looked for in the input of a terminal.
  AttachPump(std::unique_ptr<io::AttachConnection> connection, Reconnect reconnect,
             std::optional<DetachKeys> keys);
  ~AttachPump();
  AttachPump(const AttachPump&) = delete;
  AttachPump& operator=(const AttachPump&) = delete;

  const std::shared_ptr<StreamPipe>& pipe() const { return pipe_; }
  /// Moves output to the pipe until the keeper says that there is no more; its last frame. An error when the
  /// reader is gone or too slow, or the keeper is.
  Result<io::Frame> pump_output();
  /// Moves input to the process until either side ends. On a thread of its own.
  void pump_input();
  /// Wakes both pumps; they end.
  void stop();
  /// The client pressed the detach keys: it has left, and the process goes on.
  bool is_detached() const { return detached_; }

 private:
  std::shared_ptr<io::AttachConnection> connection();
  Result<io::Frame> move_output();
  Status reconnect(const io::AttachConnection& lost);
  Status replace(std::shared_ptr<io::AttachConnection> fresh);
  Status send_input(const std::string& bytes);
  std::shared_ptr<io::AttachConnection> send_kept();
  void send_rest();
  void close_input();
  void note_taken(uint64_t taken);
  void detach();

  // Blocks rather than lags: a full pipe makes the keeper's side fill up, and it is the keeper who tells a
  // reader that is merely slow from one that stands still, and ends the latter with the log's position.
  const std::shared_ptr<StreamPipe> pipe_ = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const Reconnect reconnect_;
  std::optional<DetachKeys> keys_;  // of the input pump alone
  std::atomic<bool> detached_ = false;
  std::mutex sending_;    // held while input is sent, so that it stays in order; taken before mutex_
  std::thread resender_;  // of what a dead worker had not passed on; the output pump's
  std::mutex mutex_;
  std::condition_variable changed_;
  // Below protected by mutex_.
  std::shared_ptr<io::AttachConnection> connection_;
  bool is_over_ = false;  // stopped, or there is no more output
  bool stopped_ = false;
  bool input_closed_ = false;
  // Input that the process's pipe may not have yet: a keeper that dies takes along what it has read. Of a
  // keeper that is too old to tell (!is_told_) only what could not be sent.
  bool is_told_ = false;
  std::string kept_;
  uint64_t kept_from_ = 0;  // how many bytes came before it
  size_t sent_ = 0;         // of kept_, on the present connection
};

/// What a client is told of the end: Ok where all output was sent.
Status status_of_end(const io::Frame& end);

}  // namespace pouch::container
