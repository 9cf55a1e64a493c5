#include "core/io/stdcopy.h"

#include <array>

namespace pouch::io {

std::string mux_header(MuxStream stream, uint32_t length) {
  std::string header(kMuxHeaderBytes, '\0');
  header[0] = static_cast<char>(stream);
  for (size_t i = 0; i < 4; ++i) header[4 + i] = static_cast<char>((length >> (24 - 8 * i)) & 0xff);
  return header;
}

std::string mux_frame(MuxStream stream, std::string_view data) {
  std::string frame = mux_header(stream, static_cast<uint32_t>(data.size()));
  frame += data;
  return frame;
}

void MuxDecoder::feed(std::string_view bytes) {
  // What was given out is dropped once it is the larger part, so that feeding stays linear.
  if (used_ > buffer_.size() / 2) {
    buffer_.erase(0, used_);
    used_ = 0;
  }
  buffer_ += bytes;
}

Result<std::optional<MuxFrame>> MuxDecoder::next() {
  if (buffer_.size() - used_ < kMuxHeaderBytes) return std::optional<MuxFrame>();
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(buffer_[used_ + i]); };
  if (byte(0) > 3 || byte(1) != 0 || byte(2) != 0 || byte(3) != 0) {
    return Status(Code::kDataLoss, "read multiplexed stream: not a frame header");
  }
  size_t length = 0;
  for (size_t i = 4; i < kMuxHeaderBytes; ++i) length = length << 8 | byte(i);
  if (length > max_frame_) {
    return Status(Code::kDataLoss,
                  "read multiplexed stream: a frame of " + std::to_string(length) + " bytes");
  }
  if (buffer_.size() - used_ - kMuxHeaderBytes < length) return std::optional<MuxFrame>();
  MuxFrame frame;
  frame.stream = static_cast<MuxStream>(byte(0));
  frame.data = buffer_.substr(used_ + kMuxHeaderBytes, length);
  used_ += kMuxHeaderBytes + length;
  return std::optional<MuxFrame>(std::move(frame));
}

}  // namespace pouch::io
