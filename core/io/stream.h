#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/io/json_log.h"
#include "core/io/keeper_hooks.h"
#include "core/io/log_tail.h"
#include "core/io/output_tap.h"
#include "core/io/stdio.h"
#include "core/io/stream_record.h"
#include "core/sys/event_loop.h"

namespace pouch::io {

/// What all streams of a keeper share.
struct StreamContext {
  sys::EventLoop& loop;
  ScratchPipe& scratch;
  KeeperHooks* hooks;             // may be null
  std::string io_dir;             // <run dir>/io
  int64_t drain_grace_ms = 2000;  // without a byte
  FifoVault* vault = nullptr;
  int64_t return_grace_ms = 2000;  // for clients of a worker that died
};

/// An attached client, as a stream sees it. It is told nothing more after end().
class Subscriber {
 public:
  virtual ~Subscriber() = default;
  virtual void deliver(FrameType type, std::string_view data) = 0;
  virtual void end(EndReason reason, const std::string& message, int64_t log_position) = 0;
  /// So many bytes of its stdin went into the FIFO (or were dropped).
  virtual void stdin_taken(size_t bytes) = 0;
  /// True while no more output should come; Stream::reconsider_pause() is called when that ends.
  virtual bool is_congested() const = 0;
};

/// One process's stdio: FIFOs, log and clients. Loop thread only.
class Stream {
 public:
  /// Makes the FIFOs.
  static Result<std::unique_ptr<Stream>> create(StreamContext& context, StdioSpec spec);
  /// Takes up what an earlier worker left.
  static Result<std::unique_ptr<Stream>> adopt(StreamContext& context, const std::string& id);
  static void remove_files(const StreamContext& context, const std::string& id);
  /// The stream whose state the file in io_dir is; "" when it is another file.
  static std::string id_of_state_file(const std::string& name);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  const StdioSpec& spec() const { return spec_; }
  StdioPaths paths() const;

  int64_t log_position() const { return log_ ? log_->position() : -1; }  ///< bytes; -1 without a log
  void reconsider_pause();

  void subscribe(Subscriber* subscriber);
  /// The output of this run so far. What an attached client is given is the same sequence of bytes as the
  /// log's, so that after a kill both have a chunk twice, or neither.
  OutputCounts position() const;
  /// What there is since a position, of the streams that are wanted. NotFound: it is not kept any more.
  /// Without a log nothing is kept: what a dead worker had read and not yet sent is lost, what it had not
  /// read is not.
  Result<std::vector<OutputPiece>> output_since(const OutputCounts& from, const AttachSpec& wanted) const;
  /// Notes that a client would come back after a kill, under its former number if it has one. Its number; 0
  /// when that cannot be kept.
  uint64_t note_client(uint64_t number);
  /// It will not.
  void forget_client(uint64_t number);
  /// How many bytes of a client's input went into the FIFO, whichever worker wrote them; nullopt: it is not
  /// known here.
  std::optional<uint64_t> input_of(uint64_t number) const;
  void note_input(uint64_t number, uint64_t bytes);
  /// A client of the worker before is served again, or cannot be.
  void settle_client(uint64_t number);

  /// It is gone; when it had `stdin` and the stream is stdin_once, the process's stdin closes.
  void unsubscribe(Subscriber* subscriber, bool had_stdin);

  /// Queues the bytes for the FIFO; `from` is told when they are taken.
  void write_stdin(Subscriber* from, std::string_view data);
  /// A client's half-close: closes the process's stdin when stdin_once.
  void client_closed_stdin();
  /// Closes the process's stdin after what is queued, and not before mark_started().
  void close_stdin();
  void mark_started();

  using DrainDone = std::function<void(const DrainCounts&)>;
  /// Calls `done` when all output was read, or for the length of the grace nothing came (a few times that,
  /// where a process that is left goes on writing). The stream is then finished: nothing is open, the files
  /// are gone, its owner destroys it.
  void drain(DrainDone done);
  bool is_finished() const { return is_finished_; }
  /// Create or start failed: finished at once.
  void discard(const std::string& reason);
  /// The keeper ends; everything stays for the next one.
  void leave();

 private:
  struct Watched {
    std::unique_ptr<OutputTap> tap;
    sys::EventLoop::WatchId watch = 0;
    bool is_open = true;
  };
  struct StdinChunk {
    Subscriber* from;
    std::string data;
  };

  Stream(StreamContext& context, StdioSpec spec);
  std::string file(const char* suffix) const { return base_ + suffix; }
  Status open_all(bool is_adopted);
  Status open_log(bool is_adopted);
  Status add_tap(const char* suffix, LogStream stream);
  Status open_stdin();
  std::string flags() const;
  Status write_state() const;
  Status save() const;  // the flags
  void save_or_warn() const;
  bool is_all_read() const;
  OutputTap::Outcome pump(Watched& output);
  void on_output(size_t index);
  void close_output(Watched& output);
  void note_log_failure(const Status& failure);
  void flush_stdin();
  void drop_stdin();
  void finish_stdin();
  void take_up_stdin();
  uint64_t bytes_read() const;
  OutputTap::Outcome pump_last(Watched& output);
  void wait_for_rest();
  void check_drain();
  void cut_off();
  void begin_drain();
  void take_up_clients();
  Status take_up_counts();
  void note_output(std::string_view chunk, LogStream stream);
  bool is_awaiting() const { return !awaited_.empty(); }
  void await_no_more();
  void finish(EndReason reason, const std::string& message);
  void release_all();

  StreamContext& context_;
  const StdioSpec spec_;
  const std::string base_;  // of its files
  std::unique_ptr<JsonLogWriter> log_;
  std::vector<Watched> outputs_;
  std::vector<Subscriber*> subscribers_;
  DrainCounts counts_;

  // Made for the first client that would come back; before, there is nobody to whom it matters.
  std::unique_ptr<StreamRecord> record_;
  OutputCounts unlogged_;          // without a log: the output so far
  OutputCounts kept_from_;         // before that nothing can be found in the log by its count
  std::vector<uint64_t> awaited_;  // clients of the worker before; until they are back nothing is read
  sys::EventLoop::TimerId return_timer_ = 0;

  UniqueFd stdin_;
  sys::EventLoop::WatchId stdin_watch_ = 0;  // while the FIFO is full
  std::deque<StdinChunk> stdin_queue_;
  bool is_started_ = false;
  bool is_stdin_closing_ = false;
  bool is_stdin_closed_ = false;

  std::vector<DrainDone> drain_waiters_;
  bool is_draining_ = false;
  bool is_paused_ = false;  // a client is congested
  bool is_finished_ = false;
  sys::EventLoop::TimerId drain_timer_ = 0;
  int drain_rounds_ = 0;
  uint64_t drained_at_check_ = 0;
};

}  // namespace pouch::io
