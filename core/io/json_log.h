#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/io/stdio.h"

// Docker's json-file log format: one JSON object a line,
//   {"log":"text\n","stream":"stdout","attrs":{…},"time":"2024-01-02T03:04:05.000000006Z"}
// A line of output longer than 16 KiB is several objects; only the last one's text ends in "\n". "attrs" only
// if set.

namespace pouch::io {

enum class LogStream : uint8_t { kStdout = 1, kStderr = 2 };

struct LogLine {
  Timestamp time;
  LogStream stream = LogStream::kStdout;
  std::string text;  ///< with its "\n" unless partial
  std::map<std::string, std::string> attrs;
  std::vector<size_t> replaced;  ///< where in `text` a U+FFFD stands for one byte that was not UTF-8

  /// How many bytes of output it was.
  size_t output_bytes() const { return text.size() - 2 * replaced.size(); }
  /// The text without its first bytes of output; at most output_bytes().
  std::string_view text_after(size_t bytes) const;
};

/// A place in a log that its rotation does not move.
struct LogPlace {
  uint64_t inode = 0;
  int64_t offset = 0;    ///< bytes in that file
  int64_t begun_ns = 0;  ///< begun_at() of that file: an inode is soon another file's; 0: it was empty
};

/// The time of the first entry of an open log file, in ns since the epoch; 0 when there is none.
int64_t begun_at(int fd);

/// Docker's limit for one entry, in bytes of output.
inline constexpr size_t kMaxLogEntryBytes = 16 * 1024;
/// A longer line of the file is damage: an entry, each byte at most six of JSON, and its attributes.
inline constexpr size_t kMaxLogLineBytes = 1024 * 1024;

/// Appends one entry with its final newline. `attrs_json` is "" or a JSON object. Escapes as Docker does (<,
/// > and & as \u00xx; bytes that are not UTF-8 become \ufffd).
void encode_log_line(std::string& out, std::string_view text, LogStream stream, Timestamp time,
                     std::string_view attrs_json);
/// {"a":"b"} with keys sorted; "" when empty.
std::string encode_attrs(const std::map<std::string, std::string>& attrs);
/// One entry without its newline. DataLoss when it is not one.
Result<LogLine> decode_log_line(std::string_view line);

struct JsonLogOptions {
  std::string path;
  int64_t max_size = -1;  ///< bytes; the file is rotated before the first entry past it; -1: never
  int max_file = 1;       ///< path, path.1, … path.<max_file-1>
  std::map<std::string, std::string> attrs;
};

/// Appends to a log and rotates it. One writer per file, one thread.
class JsonLogWriter {
 public:
  /// Creates the file 0640; what a crash left after the last newline is cut off.
  static Result<std::unique_ptr<JsonLogWriter>> open(JsonLogOptions options);

  void add(std::string_view text, LogStream stream, Timestamp time);
  /// Writes what was added, in one write(2) unless the log is rotated. On failure nothing of it stays in the
  /// file (as far as the disk allows) and it is dropped.
  Status flush();
  int64_t position() const { return size_; }  ///< bytes in the current file
  LogPlace place() const { return {inode_, size_, begun_ns_}; }
  /// The output given to add().
  const OutputCounts& added() const { return added_; }
  /// Set the count of what an earlier writer added.
  void set_added(const OutputCounts& counts) { added_ = counts; }
  /// A failed write is to be tried again.
  bool has_pending() const { return !pending_.empty(); }

 private:
  JsonLogWriter(JsonLogOptions options, UniqueFd fd, int64_t size);
  Status write_pending();
  Status rotate();
  void note_file();

  const JsonLogOptions options_;
  const std::string attrs_json_;
  UniqueFd fd_;
  int64_t size_;
  uint64_t inode_ = 0;
  int64_t begun_ns_ = 0;
  OutputCounts added_;
  std::string pending_;
  Status failure_;  // of a rotation within add(); told by flush()
};

struct JsonLogQuery {
  int64_t tail = -1;               ///< the last so many entries of both streams together; -1: all
  std::optional<LogPlace> from;    ///< entries from there on; NotFound when that is no longer there
  std::optional<Timestamp> since;  ///< entries at or after
  std::optional<Timestamp> until;  ///< entries at or before; with follow the end comes at that time
  bool want_stdout = true;
  bool want_stderr = true;
  bool follow = false;
};

/// Reads a log with its rotated files, oldest first. With follow it goes on, over rotations (by inode), until
/// set_stopped() was called and all is read, `until` has passed, or the log's folder is removed.
/// One reading thread; set_stopped() and cancel() from any.
class JsonLogReader {
 public:
  /// A log that does not exist (yet) is empty.
  static Result<std::unique_ptr<JsonLogReader>> open(std::string path, JsonLogQuery query);
  ~JsonLogReader();

  /// The next entry; nullopt at the end; DeadlineExceeded when none came in time (call again); Cancelled
  /// after cancel(). Entries that cannot be read (cut by a crash) are skipped.
  Result<std::optional<LogLine>> next(Deadline deadline);
  /// Becomes readable when next() may have something new; to be used only after next() with a passed deadline
  /// (Deadline::after_ms(0)) answered DeadlineExceeded. Use a time limit of 1 s beside it.
  int poll_fd() const;
  /// The container has stopped and its stream is drained: follow ends after what is in the file now.
  void set_stopped();
  void cancel();
  uint64_t skipped() const;  ///< damaged entries passed over

 private:
  struct Impl;
  explicit JsonLogReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pouch::io
