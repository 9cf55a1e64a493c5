#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/base/status.h"

namespace pouch {

/// What a frame carries. The numbers are the C ABI's.
enum class Channel : uint32_t { kStdin = 0, kStdout = 1, kStderr = 2, kData = 3, kMessage = 4 };

/// One piece of a stream: bytes, or for kMessage one whole JSON document.
struct Frame {
  Channel channel = Channel::kData;
  uint32_t flags = 0;
  std::string data;
};

enum class Next {
  kFrame,  ///< `frame` was filled
  kEof,    ///< the operation ended well; finish() has its result
  kAgain,  ///< nothing yet within the deadline
};

/// The consumer's end of a streaming operation (capi.md, "Streams"). One reader and one writer at a time;
/// cancel from any thread. Destroying it without cancel() lets an operation that has effects (a load) go on.
class Stream {
 public:
  virtual ~Stream() = default;

  /// The next frame; the operation's error once everything before it has been read.
  virtual Result<Next> next(Frame* frame, Deadline deadline) = 0;
  /// Bytes for the operation (stdin, an upload); returns how many were taken, 0 when the deadline passed.
  virtual Result<size_t> write(std::string_view data, Deadline deadline) = 0;
  /// End of the bytes for the operation; what it sends goes on.
  virtual Status close_write() = 0;
  virtual Status resize(uint32_t rows, uint32_t cols) = 0;
  /// An eventfd, readable exactly when next() would not answer kAgain. Owned by the stream.
  virtual int poll_fd() const = 0;
  /// Waits for the end, discards what is unread; the result document (may be empty) or the error.
  virtual Result<std::string> finish(const Call& call) = 0;
  /// Ends the operation; wakes next() and write() with Cancelled. Idempotent.
  virtual void cancel() = 0;
};

using StreamPtr = std::unique_ptr<Stream>;

}  // namespace pouch
