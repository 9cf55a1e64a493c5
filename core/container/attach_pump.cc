#include "core/container/attach_pump.h"

#include "core/api/json.h"

namespace pouch::container {
namespace {

constexpr size_t kInputPiece = 64 * 1024;

}  // namespace

AttachPump::AttachPump(std::unique_ptr<io::AttachConnection> connection, Reconnect reconnect,
                       std::optional<DetachKeys> keys)
    : reconnect_(std::move(reconnect)), keys_(std::move(keys)), connection_(std::move(connection)) {}

std::shared_ptr<io::AttachConnection> AttachPump::connection() {
  const std::lock_guard lock(mutex_);
  return connection_;
}

void AttachPump::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  connection_->shutdown();
}

Status AttachPump::reconnect(const io::AttachConnection& lost) {
  if (!reconnect_) return unavailable("the keeper's worker was restarted");
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<io::AttachConnection> fresh, reconnect_(lost.position()));
  if (!fresh) return {Code::kClosed, "the process has ended"};
  std::shared_ptr<io::AttachConnection> to_tell;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return {Code::kClosed, "the attach was ended"};
    connection_ = std::move(fresh);
    if (input_closed_) to_tell = connection_;
  }
  // The worker that was told may have died before it made a note of it; twice does no harm.
  if (to_tell) to_tell->close_stdin(Deadline::never()).ignore();
  return {};
}

Result<io::Frame> AttachPump::pump_output() {
  while (true) {
    const std::shared_ptr<io::AttachConnection> current = connection();
    Result<io::Frame> frame = current->read_frame(Deadline::never());
    if (frame.code() == Code::kUnavailable) {
      {
        const std::lock_guard lock(mutex_);
        if (stopped_) return Status(Code::kClosed, "the attach was ended");
      }
      POUCH_RETURN_IF_ERROR(reconnect(*current));
      continue;
    }
    if (!frame.is_ok()) return frame.status();
    if (frame->type == io::FrameType::kEnd) return frame;
    const Channel channel = frame->type == io::FrameType::kStderr ? Channel::kStderr : Channel::kStdout;
    POUCH_RETURN_IF_ERROR(pipe_->push(channel, std::move(frame->data)));
  }
}

void AttachPump::pump_input() {
  while (true) {
    const auto bytes = pipe_->read_input(kInputPiece, Deadline::never());
    if (!bytes.is_ok()) return;
    if (bytes->empty()) {
      if (keys_ && !send_input(keys_->rest()).is_ok()) return;
      close_input();
      return;
    }
    if (!send_input(keys_ ? keys_->pass(*bytes) : *bytes).is_ok()) return;
    if (keys_ && keys_->were_pressed()) return detach();
  }
}

void AttachPump::close_input() {
  std::shared_ptr<io::AttachConnection> told;
  {
    const std::lock_guard lock(mutex_);
    input_closed_ = true;
    told = connection_;
  }
  told->close_stdin(Deadline::never()).ignore();  // fails when the process has ended
}

Status AttachPump::send_input(const std::string& bytes) {
  return bytes.empty() ? Status() : connection()->write_stdin(bytes, Deadline::never());
}

void AttachPump::detach() {
  detached_ = true;
  connection()->detach(Deadline::never()).ignore();  // fails when the process has ended
  stop();
}

namespace {

Status lagged(const io::Frame& end, std::string message) {
  Json details = json_object();
  details["log_position"] = std::to_string(end.log_position);
  return {Code::kLagged, std::move(message), write_json(details)};
}

}  // namespace

Status status_of_end(const io::Frame& end) {
  switch (end.reason) {
    case io::EndReason::kLagged:
      return lagged(end, "the reader is too slow: attach again, the log has what is missing");
    case io::EndReason::kMissed:
      return lagged(
          end, "the keeper's worker was restarted, and this reader was not back in time: " + end.message);
    case io::EndReason::kShutdown:
      return unavailable("the keeper was told to stop");
    case io::EndReason::kExited:
    case io::EndReason::kFailed:  // the start tells why
    case io::EndReason::kRemoved:
      return {};
  }
  return {};
}

}  // namespace pouch::container
