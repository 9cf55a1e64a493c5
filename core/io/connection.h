#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/io/stream.h"
#include "core/io/wire.h"
#include "core/sys/event_loop.h"

namespace pouch::io {

class Connection;

/// What a connection asks of the server.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  /// Answers by Connection::reply or fail, at once or later.
  virtual void on_request(Connection& connection, Op op, const Fields& fields) = 0;
  /// Closed; the handler destroys it later, not within this call.
  virtual void on_closed(Connection& connection) = 0;
};

struct ConnectionLimits {
  size_t max_unsent = 1024 * 1024;  ///< output waiting for a client, before its stream is paused
  int64_t max_stall_ms = 5000;      ///< how often a client that paused its stream must have read something
  int64_t min_progress =
      32 * 1024;                 ///< what it must have read by then, in bytes; else it is ended with kLagged
  size_t max_stdin = 64 * 1024;  ///< stdin waiting for the process, before we stop reading from the client
  int64_t max_linger_ms = 600'000;  ///< how often a client whose stream has ended must have read something
};

/// One client of the keeper: requests, then perhaps an attach. Loop thread only.
class Connection : public Subscriber {
 public:
  Connection(uint64_t id, UniqueFd fd, sys::EventLoop& loop, RequestHandler& handler,
             const ConnectionLimits& limits);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Status start();
  uint64_t id() const { return id_; }
  bool is_closed() const { return !fd_.is_valid(); }

  void reply(const Fields& fields);
  void fail(const Status& status);
  /// After the answer to an attach: wait for the stream, or serve it.
  void begin_attach(const std::string& stream_id, const AttachSpec& spec);
  void bind(Stream& stream);
  /// Set while it waits for a stream that is not open.
  const std::string& waiting_for() const { return waiting_for_; }

  void deliver(FrameType type, std::string_view data) override;
  void end(EndReason reason, const std::string& message, int64_t log_position) override;
  void stdin_taken(size_t bytes) override;
  bool is_congested() const override { return stall_timer_ != 0; }

 private:
  void on_event(uint32_t events);
  bool receive();
  void process();
  void process_request(const Message& message);
  void process_hello(const Fields& fields);
  void process_frame(const Message& message);
  void send_some();
  void update_events();
  void detach();
  void lag();
  void begin_stall();
  void check_stall();
  void resume(Stream& stream);
  void replay(const std::vector<OutputPiece>& pieces, AttachPosition at);
  void end_stall();
  void linger();
  int64_t read_by_client() const;
  void close();

  const uint64_t id_;
  UniqueFd fd_;
  sys::EventLoop& loop_;
  RequestHandler& handler_;
  const ConnectionLimits& limits_;
  sys::EventLoop::WatchId watch_ = 0;
  sys::EventLoop::TimerId linger_timer_ = 0;
  sys::EventLoop::TimerId stall_timer_ = 0;  // while congested

  MessageReader inbox_;
  std::string outbox_;
  size_t sent_ = 0;
  uint64_t total_sent_ = 0;
  int64_t read_at_check_ = 0;  // of whichever timer runs
  bool has_said_hello_ = false;
  bool is_busy_ = false;    // a request waits for its answer
  bool is_ending_ = false;  // close once the outbox is sent
  bool is_processing_ = false;

  bool is_attached_ = false;
  AttachSpec attach_;
  std::string waiting_for_;
  Stream* stream_ = nullptr;
  uint64_t client_ = 0;      // under which the stream's record knows it
  size_t replayed_ = 0;      // bytes of the outbox that a client which came back had missed; until it is sent
  std::string early_stdin_;  // before the stream is open
  bool early_close_ = false;
  size_t stdin_unread_ = 0;   // given to the stream, not taken yet; or early
  uint64_t stdin_taken_ = 0;  // by this worker and those before
};

}  // namespace pouch::io
