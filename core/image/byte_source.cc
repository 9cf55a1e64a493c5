#include "core/image/byte_source.h"

#include <unistd.h>

#include <cerrno>

namespace pouch::image {
namespace {

// How soon an upload that stands still notices that the engine is being closed.
constexpr int64_t kLookAroundMs = 250;

}  // namespace

Result<std::string_view> UploadSource::next() {
  while (true) {
    auto piece = pipe_->read_input(StreamPipe::kCapacity, Deadline::after_ms(kLookAroundMs));
    if (piece.is_ok()) {
      piece_ = std::move(*piece);
      return std::string_view(piece_);
    }
    if (piece.code() != Code::kDeadlineExceeded) return piece.status();
    if (closing_.load()) return Status(Code::kClosed, "the engine was closed during the upload");
  }
}

Result<std::string_view> BoundedSource::next() {
  POUCH_RETURN_IF_ERROR(call_.check());
  POUCH_ASSIGN_OR_RETURN(const std::string_view piece, source_.next());
  bytes_ += static_cast<int64_t>(piece.size());
  if (bytes_ <= max_bytes_) return piece;
  return Status(Code::kResourceExhausted,
                "the layer unpacks to more than the limit of " + std::to_string(max_bytes_) + " bytes");
}

Result<std::string_view> FileSource::next() {
  while (true) {
    const ssize_t got = ::read(file_.get(), buffer_.data(), buffer_.size());
    if (got >= 0) return std::string_view(buffer_.data(), static_cast<size_t>(got));
    if (errno != EINTR) return errno_status(errno, "read");
  }
}

}  // namespace pouch::image
