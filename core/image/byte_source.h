#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/api/stream_pipe.h"
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
