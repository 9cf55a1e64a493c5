#pragma once

#include <memory>

#include "core/api/stream_pipe.h"
#include "core/remote/body_decoder.h"
#include "core/remote/transfer.h"

namespace pouch::remote {

/// Finds the result of an operation that has ended well, where the body does not hold it (dockerd's exit
/// codes and loaded images must be asked for). May be null.
using Completion = std::function<Result<std::string>()>;
/// `result` unless it is ok and the completion knows better.
Result<std::string> complete(Result<std::string> result, const Completion& completion);

/// A stream that somebody must pump: run() on a thread of the executor, abort() from any thread.
class StreamTask {
 public:
  virtual ~StreamTask() = default;
  virtual void run() = 0;
  virtual void abort() = 0;
};

/// A streamed answer, and for uploads a streamed request.
class BodyStream : public StreamTask, public std::enable_shared_from_this<BodyStream> {
 public:
  BodyStream(std::unique_ptr<Transfer> transfer, std::shared_ptr<StreamPipe> pipe, BodyFormat format,
             Completion completion);

  /// Streams: sends the request and returns once the head has come; its error when it is one.
  Status open(const Call& call);
  /// Uploads: the request's body is the pipe's input; everything happens in run().
  void upload();
  /// What is done goes on when the reader is gone; only a cancel ends it.
  void go_on();
  Transfer& transfer() { return *transfer_; }

  void run() override;
  void abort() override;

 private:
  Result<std::string> pump();
  Result<std::string> pump_body(const Call& call);
  Result<std::optional<std::string>> read_input(size_t max);
  void reader_is_gone();

  const std::unique_ptr<Transfer> transfer_;
  const std::shared_ptr<StreamPipe> pipe_;
  BodyDecoder decoder_;
  const Completion completion_;
  bool is_upload_ = false;
  bool goes_on_ = false;
  std::atomic<bool> upload_complete_{false};
  std::atomic<bool> cancelled_{false};
};

}  // namespace pouch::remote
