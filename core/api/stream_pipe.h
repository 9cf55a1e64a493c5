#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "core/api/stream.h"
#include "core/base/unique_fd.h"

namespace pouch {

/// What happens when a reader is slower than the operation.
enum class QueuePolicy {
  kBlock,   ///< the operation waits
  kLag,     ///< the reader is ended with Lagged
  kLatest,  ///< a newer message with the same id replaces an older one
  kDrop,    ///< frames are dropped and counted; the count travels in the next frame's flags
};

/// The bounded queue between one operation (producer) and one Stream (consumer). Thread-safe.
/// The operation holds it by shared_ptr; open() gives the consumer's end, once.
class StreamPipe : public std::enable_shared_from_this<StreamPipe> {
 public:
  static constexpr size_t kCapacity =
      size_t{1} << 20U;  ///< bytes each way; one larger frame is let into an empty queue
  /// Frames of a few bytes each cost far more than these.
  static constexpr size_t kMaxFrames = size_t{1} << 15U;

  explicit StreamPipe(QueuePolicy policy);
  ~StreamPipe();
  StreamPipe(const StreamPipe&) = delete;
  StreamPipe& operator=(const StreamPipe&) = delete;

  StreamPtr open();

  // The operation's side.

  /// Queues a frame by the policy; Cancelled when the consumer cancelled, Closed when it is gone or finish()
  /// was called, Lagged when ended.
  Status push(Channel channel, std::string data);
  /// kLatest: `key` says which older message this one replaces.
  Status push_latest(const std::string& key, std::string message);
  /// Waits until at most half of the queue is used: for an operation of the policy kDrop that has a past to
  /// tell, which shall not be dropped. Cancelled, Closed (consumer gone or finished) or DeadlineExceeded
  /// else.
  Status wait_for_room(Deadline deadline);
  /// `count` frames were lost before they came here: told in the next frame's flags.
  void add_dropped(uint32_t count);
  /// Bytes from the consumer, at least one; empty = close_write() was called and all is read.
  /// Cancelled, Closed (consumer gone, or finish() was called) or DeadlineExceeded else.
  Result<std::string> read_input(size_t max, Deadline deadline);
  /// An eventfd, readable when read_input would not wait.
  int input_fd() const { return input_event_.get(); }
  /// The last word; later calls are ignored. `result_json` may be empty.
  void finish(Result<std::string> result_json);
  /// Called at once if it already happened. At most one each; they must be quick.
  void on_cancel(std::function<void()> callback);
  void on_resize(std::function<Status(uint32_t rows, uint32_t cols)> callback);
  /// True once nobody will read or write any more (cancelled or consumer destroyed).
  bool is_abandoned() const;
  /// The consumer wants the operation to end; one that is only gone does not.
  bool is_cancelled() const;

 private:
  friend class PipeStream;
  struct Entry {
    Frame frame;
    std::string key;
  };

  void consumer_gone(bool cancelled);
  void update_events();  // with mutex_ held
  Status gone_status() const;

  const QueuePolicy policy_;
  UniqueFd output_event_;
  UniqueFd input_event_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Below protected by mutex_.
  std::deque<Entry> queue_;
  size_t queued_bytes_ = 0;
  uint32_t dropped_ = 0;
  std::string input_;
  bool input_closed_ = false;
  std::optional<Result<std::string>> result_;
  bool cancelled_ = false;
  bool gone_ = false;
  bool output_set_ = false;
  bool input_set_ = false;
  std::function<void()> on_cancel_;
  std::function<Status(uint32_t, uint32_t)> on_resize_;
};

/// A stream that already holds one message (and is then at its end).
StreamPtr single_message_stream(std::string json);

}  // namespace pouch
