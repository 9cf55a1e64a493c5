#include "core/container/attach_pump.h"

#include <algorithm>

#include "core/api/json.h"
#include "core/base/executor.h"

namespace pouch::container {
namespace {

constexpr size_t kInputPiece = 64 * 1024;
constexpr size_t kMaxKept = 1024 * 1024;  // more than sockets, keeper and pipe hold

}  // namespace

AttachPump::AttachPump(std::unique_ptr<io::AttachConnection> connection, Reconnect reconnect,
                       std::optional<DetachKeys> keys)
    : reconnect_(std::move(reconnect)),
      keys_(std::move(keys)),
      connection_(std::move(connection)),
      is_told_(connection_->input_taken().has_value()) {}

AttachPump::~AttachPump() {
  stop();
  if (resender_.joinable()) resender_.join();
}

std::shared_ptr<io::AttachConnection> AttachPump::connection() {
  const std::lock_guard lock(mutex_);
  return connection_;
}

void AttachPump::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = is_over_ = true;
  connection_->shutdown();
  changed_.notify_all();
}

Status AttachPump::reconnect(const io::AttachConnection& lost) {
  if (!reconnect_) return unavailable("the keeper's worker was restarted");
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<io::AttachConnection> fresh, reconnect_(lost.position()));
  if (!fresh) return {Code::kClosed, "the process has ended"};
  POUCH_RETURN_IF_ERROR(replace(std::move(fresh)));
  // On a thread of its own: the process may read its input only when its output is taken, by this one.
  if (resender_.joinable()) resender_.join();
  resender_ = start_thread([this] { send_rest(); });
  return {};
}

Status AttachPump::replace(std::shared_ptr<io::AttachConnection> fresh) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return {Code::kClosed, "the attach was ended"};
  const std::optional<uint64_t> taken = fresh->input_taken();
  if (is_told_ && !taken && !kept_.empty())
    return unavailable("the keeper's worker was restarted, and nobody knows how much input the process got");
  is_told_ = taken.has_value();
  if (taken) note_taken(*taken);
  connection_ = std::move(fresh);
  sent_ = 0;
  return {};
}

// With the lock held.
void AttachPump::note_taken(uint64_t taken) {
  const size_t count = std::min<uint64_t>(taken > kept_from_ ? taken - kept_from_ : 0, kept_.size());
  kept_.erase(0, count);
  kept_from_ += count;
  sent_ -= std::min(sent_, count);
  changed_.notify_all();
}

Result<io::Frame> AttachPump::pump_output() {
  Result<io::Frame> end = move_output();
  const std::lock_guard lock(mutex_);
  is_over_ = true;
  changed_.notify_all();
  return end;
}

Result<io::Frame> AttachPump::move_output() {
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
    if (frame->type == io::FrameType::kInputTaken) {
      const std::lock_guard lock(mutex_);
      note_taken(frame->input_taken);
      continue;
    }
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

Status AttachPump::send_input(const std::string& bytes) {
  if (bytes.empty()) return {};
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_over_ || kept_.size() < kMaxKept; });
    if (is_over_) return {Code::kClosed, "the process takes no more input"};
    kept_ += bytes;
  }
  const std::lock_guard order(sending_);
  send_kept();
  return {};
}

// With sending_ held: all that is kept. The connection that has it then; null when it is lost, and whoever
// replaces it sends again.
std::shared_ptr<io::AttachConnection> AttachPump::send_kept() {
  while (true) {
    std::shared_ptr<io::AttachConnection> current;
    std::string piece;
    {
      const std::lock_guard lock(mutex_);
      if (sent_ == kept_.size()) return connection_;
      current = connection_;
      piece = kept_.substr(sent_, kInputPiece);
      sent_ += piece.size();
    }
    if (!current->write_stdin(piece, Deadline::never()).is_ok()) return nullptr;
    const std::lock_guard lock(mutex_);
    if (!is_told_ && current == connection_) note_taken(kept_from_ + piece.size());
  }
}

void AttachPump::send_rest() {
  const std::lock_guard order(sending_);
  const auto current = send_kept();
  if (!current) return;
  {
    const std::lock_guard lock(mutex_);
    if (!input_closed_ || current != connection_) return;
  }
  // The worker that was told may have died before it made a note of it; twice does no harm.
  current->close_stdin(Deadline::never()).ignore();  // fails when the process has ended
}

void AttachPump::close_input() {
  {
    const std::lock_guard lock(mutex_);
    input_closed_ = true;
  }
  send_rest();
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
