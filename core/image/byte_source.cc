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

Result<std::string_view> FileSource::next() {
  while (true) {
    const ssize_t got = ::read(file_.get(), buffer_.data(), buffer_.size());
    if (got >= 0) return std::string_view(buffer_.data(), static_cast<size_t>(got));
    if (errno != EINTR) return errno_status(errno, "read");
  }
}

}  // namespace pouch::image
