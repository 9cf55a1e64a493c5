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

#include "cli/terminal.h"

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

Json::Value copy_stdio(const Console& console, Stream& stream, const CopyOptions& options) {
  // Before the input's thread is made, which shall have its signals blocked, too; it goes after it.
  std::optional<TerminalSession> terminal;
  if (options.terminal) terminal.emplace(console, stream, options.input, options.redraw);
  std::optional<InputCopy> input;
  if (options.input) input.emplace(console.in_fd(), stream);
  while (const std::optional<Stream::Frame> frame = stream.next()) {
    if (frame->channel == POUCH_CHANNEL_STDERR) {
      console.err(frame->data);
    } else {
      console.out(frame->data);
    }
  }
  input.reset();
  terminal.reset();
  return stream.finish();
}

void check_terminal(const Console& console, bool with_input, bool terminal) {
  if (with_input && terminal && !console.in_is_terminal()) {
    throw Exit(kExitError, "the input device is not a TTY");
  }
}

Json::Value attach_options(bool with_input, const std::string& detach_keys) {
  Json::Value options;
  for (const char* part : {"stream", "stdout", "stderr"}) options[part] = true;
  options["stdin"] = with_input;
  if (!detach_keys.empty()) options["detachKeys"] = detach_keys;
  return options;
}

std::function<void(const std::string&)> kill_with(Client& client, const std::string& id) {
  return [&client, id](const std::string& signal) {
    Json::Value options;
    options["signal"] = signal;
    try {
      client.call("container.kill", {id}, options);
    } catch (const ApiError&) {
      // Not yet started, or ended meanwhile.
    }
  };
}

int exit_code_of(Stream& wait) {
  const std::optional<Stream::Frame> frame = wait.next();
  if (!frame) throw Exit(kExitError, "Error: the wait for the container ended without its exit code");
  const Json::Value result = to_json(frame->data);
  const Json::Value& problem = result["Error"]["Message"];
  if (problem.isString() && !problem.asString().empty())
    throw Exit(kExitUsage, "Error: " + problem.asString());
  return result["StatusCode"].asInt();
}

}  // namespace pouch::cli
