#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "core/image/byte_source.h"

namespace pouch::image {

/// Reads a source on a thread of its own, some pieces ahead of who wants them. What stands behind may be used
/// again when next() has given the end or an error.
class ReadAhead final : public ByteSource {
 public:
  /// `source` must outlive it.
  explicit ReadAhead(ByteSource& source);
  /// Ends the thread, which waits for at most one piece of the source.
  ~ReadAhead() override;
  Result<std::string_view> next() override;

 private:
  void read();

  ByteSource& source_;
  std::string current_;  ///< what next() gave

  std::mutex mutex_;
  std::condition_variable changed_;
  // Below protected by mutex_.
  std::deque<Result<std::string>> pieces_;
  std::deque<std::string> spare_;  ///< buffers that can be used again
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace pouch::image
