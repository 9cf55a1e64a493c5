#include "core/remote/body_stream.h"

namespace pouch::remote {
namespace {

// How long to wait for the text of an error whose status is known.
constexpr int64_t kErrorTextMs = 2000;

}  // namespace

Result<std::string> complete(Result<std::string> result, const Completion& completion) {
  if (!result.is_ok() || !completion) return result;
  return completion();
}

BodyStream::BodyStream(std::unique_ptr<Transfer> transfer, std::shared_ptr<StreamPipe> pipe,
                       BodyFormat format, Completion completion)
    : transfer_(std::move(transfer)),
      pipe_(std::move(pipe)),
      decoder_(std::move(format), pipe_),
      completion_(std::move(completion)) {}

Status BodyStream::open(const Call& call) {
  POUCH_RETURN_IF_ERROR(transfer_->run_to_head(call));
  if (transfer_->head().status >= 200 && transfer_->head().status < 300) return {};
  POUCH_RETURN_IF_ERROR(transfer_->run_to_end(call));
  return error_of_answer(transfer_->head(), transfer_->take_body(), transfer_->op());
}

void BodyStream::upload() {
  is_upload_ = true;
  decoder_.ignore_lost_reader();
  transfer_->upload([this](size_t max) { return read_input(max); }, pipe_->input_fd());
}

void BodyStream::go_on() {
  goes_on_ = true;
  decoder_.ignore_lost_reader();
}

Result<std::optional<std::string>> BodyStream::read_input(size_t max) {
  Result<std::string> bytes = pipe_->read_input(max, Deadline::after_ms(0));
  if (bytes.code() == Code::kDeadlineExceeded) return std::optional<std::string>();
  if (!bytes.is_ok()) return bytes.status();
  if (bytes->empty()) upload_complete_.store(true);
  return std::optional<std::string>(std::move(*bytes));
}

void BodyStream::reader_is_gone() {
  // An upload that is complete goes on to its end, too, unless it was cancelled.
  const bool may_go_on = goes_on_ || (is_upload_ && upload_complete_.load());
  if (may_go_on && !pipe_->is_cancelled() && !cancelled_.load()) return;
  transfer_->abort();
}

void BodyStream::abort() {
  pipe_->finish(
      Status(Code::kCancelled, transfer_->op() + ": given up"));  // frees a push that waits for its reader
  cancelled_.store(true);
  transfer_->abort();
}

void BodyStream::run() {
  pipe_->on_cancel([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->reader_is_gone();
  });
  pipe_->finish(complete(pump(), completion_));
}

Result<std::string> BodyStream::pump() {
  const Call forever;
  if (is_upload_) {
    if (Status head = transfer_->run_to_head(forever); !head.is_ok()) return head;
    if (transfer_->head().status >= 300) {
      transfer_->stop_upload_and_collect({Deadline::after_ms(kErrorTextMs), nullptr, {}});
      return error_of_answer(transfer_->head(), transfer_->take_body(), transfer_->op());
    }
  }
  return pump_body(forever);
}

Result<std::string> BodyStream::pump_body(const Call& call) {
  Status transport = transfer_->set_sink([this](std::string_view bytes) -> Status {
    POUCH_RETURN_IF_ERROR(decoder_.feed(bytes));
    // Ends the exchange even where the server would wait for the rest of an upload.
    return decoder_.has_ended() && is_upload_ ? Status(Code::kClosed, "the operation has ended") : Status();
  });
  if (transport.is_ok()) transport = transfer_->run_to_end(call);
  return decoder_.finish(transport, transfer_->trailer("pouch-end"));
}

}  // namespace pouch::remote
