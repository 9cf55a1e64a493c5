#include "core/api/stream_pipe.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "core/base/executor.h"

namespace pouch {
namespace {

UniqueFd make_eventfd() {
  return UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void set_event(int fd, bool& state, bool wanted) {
  if (state == wanted) return;
  state = wanted;
  uint64_t value = 1;
  // Neither can block or fail: the counter is 0 or 1 and only written under the pipe's lock.
  if (wanted) {
    [[maybe_unused]] const ssize_t wrote = ::write(fd, &value, sizeof value);
  } else {
    [[maybe_unused]] const ssize_t got = ::read(fd, &value, sizeof value);
  }
}

// False when the deadline passed first.
bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition, Deadline deadline,
                const std::function<bool()>& done) {
  while (!done()) {
    if (deadline.has_passed()) return false;
    if (deadline.is_never()) {
      condition.wait(lock);
    } else {
      condition.wait_for(lock, std::chrono::nanoseconds(deadline.remaining_ns()));
    }
  }
  return true;
}

}  // namespace

/// The consumer's end: every method is a few lines over the shared pipe.
class PipeStream : public Stream {
 public:
  explicit PipeStream(std::shared_ptr<StreamPipe> pipe) : pipe_(std::move(pipe)) {}
  ~PipeStream() override { pipe_->consumer_gone(false); }
  PipeStream(const PipeStream&) = delete;
  PipeStream& operator=(const PipeStream&) = delete;

  Result<Next> next(Frame* frame, Deadline deadline) override {
    StreamPipe& pipe = *pipe_;
    std::unique_lock lock(pipe.mutex_);
    const auto ready = [&] { return !pipe.queue_.empty() || pipe.result_ || pipe.cancelled_; };
    if (!wait_until(lock, pipe.changed_, deadline, ready)) return Next::kAgain;
    if (pipe.cancelled_) return Status(Code::kCancelled, "the stream was cancelled");
    if (pipe.queue_.empty()) {
      if (!pipe.result_->is_ok()) return pipe.result_->status();
      return Next::kEof;
    }
    *frame = std::move(pipe.queue_.front().frame);
    pipe.queue_.pop_front();
    pipe.queued_bytes_ -= frame->data.size();
    pipe.update_events();
    pipe.changed_.notify_all();
    return Next::kFrame;
  }

  Result<size_t> write(std::string_view data, Deadline deadline) override {
    StreamPipe& pipe = *pipe_;
    std::unique_lock lock(pipe.mutex_);
    const auto ready = [&] {
      return pipe.input_.size() < StreamPipe::kCapacity || pipe.result_ || pipe.cancelled_ ||
             pipe.input_closed_;
    };
    if (!wait_until(lock, pipe.changed_, deadline, ready)) return size_t{0};
    if (pipe.cancelled_) return Status(Code::kCancelled, "the stream was cancelled");
    if (pipe.input_closed_) return Status(Code::kClosed, "write after close_write");
    if (pipe.result_) {
      if (!pipe.result_->is_ok()) return pipe.result_->status();
      return Status(Code::kClosed, "the operation has ended and reads no more");
    }
    const size_t taken = std::min(data.size(), StreamPipe::kCapacity - pipe.input_.size());
    pipe.input_.append(data.substr(0, taken));
    pipe.update_events();
    pipe.changed_.notify_all();
    return taken;
  }

  Status close_write() override {
    const std::lock_guard lock(pipe_->mutex_);
    pipe_->input_closed_ = true;
    pipe_->update_events();
    pipe_->changed_.notify_all();
    return {};
  }

  Status resize(uint32_t rows, uint32_t cols) override {
    std::function<Status(uint32_t, uint32_t)> callback;
    {
      const std::lock_guard lock(pipe_->mutex_);
      callback = pipe_->on_resize_;
    }
    if (!callback) return conflict("resize: this stream has no terminal");
    return callback(rows, cols);
  }

  int poll_fd() const override { return pipe_->output_event_.get(); }

  Result<std::string> finish(const Call& call) override {
    StreamPipe& pipe = *pipe_;
    std::unique_lock lock(pipe.mutex_);
    const auto drained = [&] {
      if (!pipe.queue_.empty()) {  // unread frames must not hold up a blocked operation
        pipe.queue_.clear();
        pipe.queued_bytes_ = 0;
        pipe.update_events();
        pipe.changed_.notify_all();
      }
      return pipe.result_.has_value() || pipe.cancelled_;
    };
    POUCH_RETURN_IF_ERROR(wait_for(lock, pipe.changed_, call, drained));
    if (pipe.result_) return *pipe.result_;
    return Status(Code::kCancelled, "the stream was cancelled");
  }

  void cancel() override { pipe_->consumer_gone(true); }

 private:
  const std::shared_ptr<StreamPipe> pipe_;
};

StreamPipe::StreamPipe(QueuePolicy policy)
    : policy_(policy), output_event_(make_eventfd()), input_event_(make_eventfd()) {}

StreamPipe::~StreamPipe() = default;

StreamPtr StreamPipe::open() {
  return std::make_unique<PipeStream>(shared_from_this());
}

Status StreamPipe::gone_status() const {
  if (cancelled_) return {Code::kCancelled, "the stream was cancelled by its reader"};
  return {Code::kClosed, "the stream's reader is gone"};
}

Status StreamPipe::push(Channel channel, std::string data) {
  std::unique_lock lock(mutex_);
  const auto fits = [&] {
    return queue_.empty() || (queued_bytes_ + data.size() <= kCapacity && queue_.size() < kMaxFrames);
  };
  if (policy_ == QueuePolicy::kBlock) {
    changed_.wait(lock, [&] { return fits() || gone_ || cancelled_ || result_; });
  }
  if (gone_ || cancelled_) return gone_status();
  if (result_) return {Code::kClosed, "the stream has ended"};
  if (!fits()) {
    if (policy_ == QueuePolicy::kDrop || policy_ == QueuePolicy::kLatest) {
      ++dropped_;
      return {};
    }
    const Status lagged(Code::kLagged, "the reader is too slow: more than 1 MiB, or 32768 frames, is unread");
    result_ = lagged;
    update_events();
    changed_.notify_all();
    return lagged;
  }
  queued_bytes_ += data.size();
  queue_.push_back({Frame{channel, std::exchange(dropped_, 0), std::move(data)}, {}});
  update_events();
  changed_.notify_all();
  return {};
}

Status StreamPipe::push_latest(const std::string& key, std::string message) {
  {
    const std::lock_guard lock(mutex_);
    if (gone_ || cancelled_) return gone_status();
    for (Entry& entry : queue_) {
      if (entry.key != key) continue;
      queued_bytes_ += message.size() - entry.frame.data.size();
      entry.frame.data = std::move(message);
      return {};
    }
  }
  POUCH_RETURN_IF_ERROR(push(Channel::kMessage, std::move(message)));
  const std::lock_guard lock(mutex_);
  if (!queue_.empty()) queue_.back().key = key;
  return {};
}

Status StreamPipe::wait_for_room(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] {
    const bool has_room = queued_bytes_ <= kCapacity / 2 && queue_.size() <= kMaxFrames / 2;
    return has_room || gone_ || cancelled_ || result_;
  };
  if (!wait_until(lock, changed_, deadline, ready)) {
    return {Code::kDeadlineExceeded, "the stream's reader made no room within the deadline"};
  }
  if (gone_ || cancelled_) return gone_status();
  if (result_) return {Code::kClosed, "the stream has ended"};
  return {};
}

void StreamPipe::add_dropped(uint32_t count) {
  const std::lock_guard lock(mutex_);
  dropped_ += count;
}

Result<std::string> StreamPipe::read_input(size_t max, Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return !input_.empty() || input_closed_ || gone_ || cancelled_ || result_; };
  if (!wait_until(lock, changed_, deadline, ready)) {
    return Status(Code::kDeadlineExceeded, "no bytes came from the client within the deadline");
  }
  if (cancelled_) return gone_status();
  if (result_) return Status(Code::kClosed, "the stream has ended");
  if (input_.empty() && !input_closed_) return gone_status();
  std::string bytes = input_.substr(0, max);
  input_.erase(0, bytes.size());
  update_events();
  changed_.notify_all();
  return bytes;
}

void StreamPipe::finish(Result<std::string> result_json) {
  const std::lock_guard lock(mutex_);
  if (!result_) result_ = std::move(result_json);
  on_resize_ = nullptr;
  update_events();
  changed_.notify_all();
}

void StreamPipe::on_cancel(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_ && !cancelled_) {
      on_cancel_ = std::move(callback);
      return;
    }
  }
  callback();
}

void StreamPipe::on_resize(std::function<Status(uint32_t, uint32_t)> callback) {
  const std::lock_guard lock(mutex_);
  on_resize_ = std::move(callback);
}

bool StreamPipe::is_abandoned() const {
  const std::lock_guard lock(mutex_);
  return gone_ || cancelled_;
}

bool StreamPipe::is_cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void StreamPipe::consumer_gone(bool cancelled) {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled) {
      cancelled_ = true;
    } else {
      gone_ = true;
    }
    callback = std::exchange(on_cancel_, nullptr);
    update_events();
  }
  changed_.notify_all();
  if (callback) callback();
}

void StreamPipe::update_events() {
  set_event(output_event_.get(), output_set_, !queue_.empty() || result_.has_value() || cancelled_);
  set_event(input_event_.get(), input_set_,
            !input_.empty() || input_closed_ || gone_ || cancelled_ || result_.has_value());
}

StreamPtr single_message_stream(std::string json) {
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  StreamPtr stream = pipe->open();
  pipe->push(Channel::kMessage, json).ignore();
  pipe->finish(std::move(json));
  return stream;
}

}  // namespace pouch
