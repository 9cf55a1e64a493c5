#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/io/json_log.h"

namespace pouch::io {

/// The end of a line whose newline has not come yet, and how the line stands. Kept in a mapped file, so that
/// it is not lost with the process: its bytes are gone from the FIFO and not in the log yet. The file is made
/// when it is first needed; many a container only writes whole lines.
class PartialLine {
 public:
  /// What an earlier worker left in the file is taken up.
  static Result<std::unique_ptr<PartialLine>> open(const std::string& path);
  ~PartialLine();
  PartialLine(const PartialLine&) = delete;
  PartialLine& operator=(const PartialLine&) = delete;

  /// Adds the log entries that are complete with `chunk` to `log`; what is left is remembered by commit().
  void split(std::string_view chunk, LogStream stream, JsonLogWriter& log);
  /// After the log was flushed. When the rest cannot be kept it is in memory only; the error says why.
  Status commit();
  /// What is in no entry yet.
  const std::string& rest() const { return rest_; }
  /// The process has ended: what is left is an entry without newline.
  void finish(LogStream stream, JsonLogWriter& log);

 private:
  struct Layout {
    uint32_t length;
    uint32_t is_continued;  // an entry of this line is in the log already
    int64_t line_time_ns;   // that entry's time, shared by all of the line
    std::array<char, kMaxLogEntryBytes> bytes;
  };
  explicit PartialLine(std::string path) : path_(std::move(path)) {}
  Status map(int extra_flags);
  void emit(std::string_view text, bool is_line_end, LogStream stream, JsonLogWriter& log);

  const std::string path_;
  Layout* layout_ = nullptr;  // shared mapping of the file; null until needed
  // What split() reached; the mapping follows by commit().
  std::string rest_;
  bool is_continued_ = false;
  int64_t line_time_ns_ = 0;
  bool is_append_ = false;  // rest_ is what it was before the last split(), and more
};

/// A pipe of our own into which FIFOs are tee'd, and memory to look at it. One for a whole keeper.
struct ScratchPipe {
  static Result<std::unique_ptr<ScratchPipe>> create();
  UniqueFd read_end;
  UniqueFd write_end;
  UniqueFd null;
  std::array<char, 256 * 1024> buffer;
};

/// The keeper's end of one output FIFO. Bytes leave the FIFO only when they are in the log.
class OutputTap {
 public:
  enum class Outcome { kRead, kEmpty, kEnd };

  /// Makes the FIFO at `path` when absent and opens it, with a writer of our own so that no end of file is
  /// seen before the runtime has opened it.
  static Result<std::unique_ptr<OutputTap>> open(const std::string& path, LogStream stream, bool keeps_log);

  /// One chunk: into the log, out of the FIFO, to `deliver`, in this order. A log that cannot be written is
  /// told by `log_failure` and does not stop the output.
  Outcome pump(ScratchPipe& scratch, JsonLogWriter* log, Status& log_failure,
               const std::function<void(std::string_view)>& deliver);
  void close_writer() { writer_.reset(); }
  Status finish(JsonLogWriter* log);
  int fd() const { return reader_.get(); }
  LogStream stream() const { return stream_; }
  uint64_t bytes() const { return bytes_; }
  /// Output that is kept, and in no entry of the log yet.
  std::string_view unfinished() const {
    return partial_ ? std::string_view(partial_->rest()) : std::string_view();
  }

 private:
  explicit OutputTap(LogStream stream) : stream_(stream) {}
  Status log_chunk(std::string_view chunk, JsonLogWriter& log);

  const LogStream stream_;
  UniqueFd reader_;
  UniqueFd writer_;
  std::unique_ptr<PartialLine> partial_;  // null without a log
  uint64_t bytes_ = 0;
};

}  // namespace pouch::io
