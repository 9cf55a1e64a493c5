#include "cli/attach.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

namespace pouch::cli {
namespace {

constexpr size_t kChunk = 64 * 1024;  // bytes per read of the input

// Copies a descriptor to a stream on a thread of its own, which ends with the object.
class InputCopy {
 public:
  InputCopy(int fd, Stream& stream) : fd_(fd), stream_(stream), wake_(::eventfd(0, EFD_CLOEXEC)) {
    if (wake_ < 0) throw Exit(kExitError, std::string("pouch: eventfd: ") + std::strerror(errno));
    thread_ = std::thread([this] { run(); });
  }
  ~InputCopy() {
    stop_ = true;
    const uint64_t one = 1;
    // Cannot fail: the counter is far from its limit.
    [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
    thread_.join();
    ::close(wake_);
  }
  InputCopy(const InputCopy&) = delete;
  InputCopy& operator=(const InputCopy&) = delete;

 private:
  void run() {
    try {
      copy();
      stream_.close_write();
    } catch (const Exit&) {
      // The process has ended, or the connection; the reader of the stream tells which.
    }
  }

  void copy() {
    std::array<char, kChunk> buffer;
    while (wait_readable()) {
      const ssize_t count = ::read(fd_, buffer.data(), buffer.size());
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (count <= 0) return;
      if (!stream_.write(std::string_view(buffer.data(), static_cast<size_t>(count)), &stop_)) return;
    }
  }

  bool wait_readable() const {
    std::array<pollfd, 2> entries = {{{fd_, POLLIN, 0}, {wake_, POLLIN, 0}}};
    while (::poll(entries.data(), entries.size(), -1) < 0) {
      if (errno != EINTR) return false;
    }
    return entries[1].revents == 0;
  }

  int fd_;
  Stream& stream_;
  int wake_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace

Json::Value copy_stdio(const Console& console, Stream& stream, bool with_input) {
  std::optional<InputCopy> input;
  if (with_input) input.emplace(console.in_fd(), stream);
  while (const std::optional<Stream::Frame> frame = stream.next()) {
    if (frame->channel == POUCH_CHANNEL_STDERR) {
      console.err(frame->data);
    } else {
      console.out(frame->data);
    }
  }
  input.reset();
  return stream.finish();
}

}  // namespace pouch::cli
