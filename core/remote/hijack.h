#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "core/api/detach_keys.h"
#include "core/remote/body_stream.h"
#include "core/remote/socket.h"

namespace pouch::remote {

/// A duplex operation: a request that upgrades its connection, then bytes both ways.
class Hijack : public StreamTask, public std::enable_shared_from_this<Hijack> {
 public:
  Hijack(const Address& address, Request request, std::shared_ptr<StreamPipe> pipe, Completion completion);

  /// Dials, sends the request, and returns once the answer's head has come; its error when it is one.
  Status open(const Call& call);
  const Head& head() const { return parser_.head(); }
  /// Between open() and run().
  void set_format(BodyFormat format);
  /// Between open() and run(), on a terminal of a stock dockerd: that ends the output with the input, which
  /// is therefore left open.
  void keep_input_open() { keeps_input_open_ = true; }
  /// Likewise: it looks for the keys by itself, but does not tell that it has found them.
  /// `result`: the stream's, then.
  void set_detach_keys(DetachKeys keys, std::string result) {
    keys_.emplace(std::move(keys));
    detached_result_ = std::move(result);
  }

  void run() override;
  void abort() override;

 private:
  std::string request_text() const;
  Status read_head(const Call& call);
  Result<std::string> read_error_body(const Call& call);
  Result<std::string> pump();
  Status send_input();
  Result<bool> receive_output();

  const Address address_;
  const Request request_;
  Socket socket_;
  HeadParser parser_;
  std::string early_;                ///< what came behind the head
  std::optional<size_t> body_left_;  ///< set when the answer has a Content-Length
  const std::shared_ptr<StreamPipe> pipe_;
  const Completion completion_;
  std::optional<BodyDecoder> decoder_;
  std::string pending_;  ///< input that is not sent yet
  std::optional<DetachKeys> keys_;
  std::string detached_result_;
  bool keeps_input_open_ = false;
  bool input_ended_ = false;
  std::atomic<bool> aborted_{false};
};

}  // namespace pouch::remote
