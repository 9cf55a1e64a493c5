#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/status.h"

// Moby's stream multiplexing: {u8 stream, 0, 0, 0, u32 length big endian} before each piece.

namespace pouch::io {

enum class MuxStream : uint8_t { kStdin = 0, kStdout = 1, kStderr = 2, kSystemError = 3 };

inline constexpr size_t kMuxHeaderBytes = 8;

struct MuxFrame {
  MuxStream stream = MuxStream::kStdout;
  std::string data;
};

/// The header for `length` bytes that follow it.
std::string mux_header(MuxStream stream, uint32_t length);
/// Header and data in one string.
std::string mux_frame(MuxStream stream, std::string_view data);

/// Takes a byte stream in any pieces, gives frames. Not thread-safe.
class MuxDecoder {
 public:
  /// Frames announced longer than `max_frame` are an error.
  explicit MuxDecoder(size_t max_frame = 16 * 1024 * 1024) : max_frame_(max_frame) {}
  void feed(std::string_view bytes);
  /// The next whole frame, nullopt when more bytes are needed, DataLoss for a broken header (then for ever).
  Result<std::optional<MuxFrame>> next();
  /// True between frames: an end of the byte stream here is a clean one.
  bool is_at_boundary() const { return used_ == buffer_.size(); }

 private:
  const size_t max_frame_;
  std::string buffer_;
  size_t used_ = 0;
};

}  // namespace pouch::io
