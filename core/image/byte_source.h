#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/api/stream_pipe.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::image {

/// Bytes in order, pulled. Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// The next piece, valid until the next call; empty: the end.
  virtual Result<std::string_view> next() = 0;
};

/// What the consumer of a stream uploads.
class UploadSource final : public ByteSource {
 public:
  /// `closing` ends the wait for a client that sends nothing, with Closed.
  UploadSource(std::shared_ptr<StreamPipe> pipe, const std::atomic<bool>& closing)
      : pipe_(std::move(pipe)), closing_(closing) {}
  Result<std::string_view> next() override;

 private:
  std::shared_ptr<StreamPipe> pipe_;
  const std::atomic<bool>& closing_;
  std::string piece_;
};

/// Another source, for as long as the call may go on and up to a number of bytes: a small layer can unpack to
/// more than anybody would wait for. ResourceExhausted beyond that.
class BoundedSource final : public ByteSource {
 public:
  /// All must outlive it.
  BoundedSource(ByteSource& source, const Call& call, int64_t max_bytes)
      : source_(source), call_(call), max_bytes_(max_bytes) {}
  Result<std::string_view> next() override;

 private:
  ByteSource& source_;
  const Call& call_;
  const int64_t max_bytes_;
  int64_t bytes_ = 0;
};

/// A file.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(UniqueFd file) : file_(std::move(file)), buffer_(kBufferBytes, '\0') {}
  Result<std::string_view> next() override;

 private:
  static constexpr size_t kBufferBytes = size_t{1} << 20U;
  UniqueFd file_;
  std::string buffer_;
};

}  // namespace pouch::image
