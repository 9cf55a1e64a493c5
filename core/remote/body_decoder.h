#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/api/op.h"
#include "core/api/stream_pipe.h"

namespace pouch::remote {

/// How to read a stream's body (docs/wire.md).
struct BodyFormat {
  api::OpFrames frames = api::OpFrames::kData;
  bool end_records = true;  ///< pouchd ends every stream with one, dockerd has none
  bool raw_stdio = false;   ///< a terminal's bytes, not multiplexed
  bool merge = false;       ///< queue latest: a message replaces an older one of the same id
  /// dockerd: a message in the spec's form, or the error that it is.
  std::function<Result<std::string>(std::string_view line)> canonical;
};

/// Turns the bytes of a body into frames of a pipe. Not thread-safe.
class BodyDecoder {
 public:
  BodyDecoder(BodyFormat format, std::shared_ptr<StreamPipe> pipe)
      : format_(std::move(format)), pipe_(std::move(pipe)) {}

  /// An upload's end matters even when nobody reads its messages any more.
  void ignore_lost_reader() { ignore_lost_reader_ = true; }
  /// May block as the pipe's policy says. Cancelled or Closed when the reader is gone.
  Status feed(std::string_view bytes);
  /// True when the end record has come: nothing else matters.
  bool has_ended() const { return result_.has_value(); }
  /// The operation's result, once the body has ended with `transport`; `trailer` is Pouch-End's value.
  Result<std::string> finish(const Status& transport, std::string_view trailer = {});

 private:
  Status push(Channel channel, std::string data);
  Status feed_stdio(std::string_view bytes);
  Result<size_t> take_stdio(std::string_view bytes);
  Status emit_stdio(std::string_view bytes);
  Status feed_lines(std::string_view bytes);
  Status take_line(std::string_view line);
  Status take_message(std::string_view line);
  Status take_end_record(std::string_view json_text);

  const BodyFormat format_;
  const std::shared_ptr<StreamPipe> pipe_;
  bool ignore_lost_reader_ = false;
  std::string buffer_;
  uint8_t mux_stream_ = 0;
  size_t mux_left_ = 0;  ///< bytes of the current piece that have not been emitted
  std::string mux_error_;
  std::optional<Result<std::string>> result_;
};

}  // namespace pouch::remote
