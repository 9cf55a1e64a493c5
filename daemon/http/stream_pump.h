#pragma once

#include <functional>
#include <string>

#include "core/api/stream.h"
#include "daemon/http/exchange.h"

namespace pouch::http {

/// How frames become bytes of the answer.
enum class StreamForm {
  kMux,    ///< stdio with Moby's 8-byte headers
  kRaw,    ///< the bytes alone: stdio of a terminal, data
  kLines,  ///< one JSON document per line
};

/// Where bytes for the operation come from.
enum class StreamInput {
  kNone,
  kSocket,  ///< what the client sends after the head (hijacked)
  kIgnore,  ///< the same, but the operation takes none
  kBody,    ///< the request's body (uploads)
};

struct PumpOptions {
  StreamForm form = StreamForm::kMux;
  StreamInput input = StreamInput::kNone;
  bool is_strict = false;  ///< end records (docs/wire.md)
  bool chunked = true;
  bool trailer = false;     ///< strict data: the end record is a trailer
  std::string head;         ///< the response head
  bool head_apart = false;  ///< the client has read it, as far as one can tell, before anything else comes
  bool lazy_head = false;   ///< sent with the first frame, so that an early error can be a plain answer
  /// Lines, not strict: shapes a message for the client's version.
  std::function<std::string(std::string)> shape;
  /// Lines, not strict: the last line for an error after the first byte; empty is none.
  std::function<std::string(const Status&)> error_line;
  /// Called for an error with no byte sent yet (only with lazy_head).
  std::function<Status(const Status&)> early_error;
};

/// Moves frames to the client and bytes from it until the stream ends, the client goes or the server stops.
/// Cancels the stream when the client is gone.
class StreamPump {
 public:
  StreamPump(Exchange& exchange, Stream& stream, PumpOptions options);
  void run(const Call& call);

 private:
  Status send_head();
  Status collect();  // frames into out_
  void append_frame(const Frame& frame);
  void append_end();
  void append_line(const std::string& line);
  Result<bool> flush();  // true when all is sent
  void wrap_chunk();
  Status take_input();
  Status read_input();
  Status read_body_part();
  void offer_input();
  short socket_events() const;
  Status wait();
  Status finish();
  Status send_rest();

  Exchange& exchange_;
  Connection& connection_;
  Stream& stream_;
  const PumpOptions options_;
  std::string frames_;  // bytes of frames, not yet wrapped
  std::string out_;     // bytes for the socket
  size_t out_used_ = 0;
  std::string pending_;  // bytes from the client the operation has not taken yet
  bool head_sent_ = false;
  bool ended_ = false;  // the operation
  Status end_status_;
  std::string result_;
  bool input_open_ = false;
  bool input_closed_ = false;   // the operation was told of the end
  bool input_dropped_ = false;  // the operation reads no more
  bool needs_more_ = false;     // the body's next piece is not whole in the buffer
  int64_t stalled_ms_ = 0;      // back-off while the operation takes no input
  Deadline input_deadline_;
};

}  // namespace pouch::http
