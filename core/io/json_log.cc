#include "core/io/json_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/text.h"
#include "core/io/json_text.h"
#include "core/sys/file.h"

namespace pouch::io {

void encode_log_line(std::string& out, std::string_view text, LogStream stream, Timestamp time,
                     std::string_view attrs_json) {
  out += "{\"log\":";
  append_json_string(out, text);
  out += stream == LogStream::kStdout ? ",\"stream\":\"stdout\"" : ",\"stream\":\"stderr\"";
  if (!attrs_json.empty()) {
    out += ",\"attrs\":";
    out += attrs_json;
  }
  out += ",\"time\":\"";
  out += time.to_rfc3339();
  out += "\"}\n";
}

std::string encode_attrs(const std::map<std::string, std::string>& attrs) {
  return attrs.empty() ? std::string() : encode_string_map(attrs);
}

namespace {

bool read_member(JsonCursor& cursor, const std::string& key, LogLine& line, bool& has_time) {
  std::string text;
  if (key == "log") {
    if (!cursor.read_string(line.text)) return false;
    line.replaced = cursor.replaced();
    return true;
  }
  if (key == "attrs") return cursor.read_string_map(line.attrs);
  if (key == "stream") {
    if (!cursor.read_string(text)) return false;
    line.stream = text == "stderr" ? LogStream::kStderr : LogStream::kStdout;
    return text == "stderr" || text == "stdout";
  }
  if (key == "time") {
    if (!cursor.read_string(text)) return false;
    Result<Timestamp> time = Timestamp::parse_rfc3339(text);
    if (time.is_ok()) line.time = *time;
    has_time = time.is_ok();
    return has_time;
  }
  return cursor.skip_value();
}

}  // namespace

std::string_view LogLine::text_after(size_t bytes) const {
  size_t passed = 0;
  while (passed < replaced.size() && replaced[passed] - 2 * passed < bytes) ++passed;
  return std::string_view(text).substr(std::min(bytes + 2 * passed, text.size()));
}

Result<LogLine> decode_log_line(std::string_view text) {
  LogLine line;
  bool has_time = false;
  JsonCursor cursor(text);
  bool is_good = cursor.take('{');
  if (is_good && !cursor.is_next('}')) {
    do {
      std::string key;
      is_good = cursor.read_string(key) && cursor.take(':') && read_member(cursor, key, line, has_time);
    } while (is_good && cursor.take(','));
  }
  if (!is_good || !cursor.take('}') || !cursor.is_at_end() || !has_time) {
    return Status(Code::kDataLoss, "read log entry " + quote(text, 64) + ": damaged");
  }
  return line;
}

int64_t begun_at(int fd) {
  std::string line;
  std::string block(4096, '\0');
  while (line.size() < kMaxLogLineBytes) {
    const ssize_t got = ::pread(fd, block.data(), block.size(), static_cast<off_t>(line.size()));
    if (got <= 0) return 0;
    line.append(block, 0, static_cast<size_t>(got));
    const size_t end = line.find('\n', line.size() - static_cast<size_t>(got));
    if (end == std::string::npos) continue;
    const Result<LogLine> entry = decode_log_line(std::string_view(line).substr(0, end));
    return entry.is_ok() ? entry->time.ns : 0;
  }
  return 0;
}

namespace {

// So much is kept while the file cannot be written.
constexpr size_t kMaxKept = size_t{1} << 20;

// The length of the file up to and with its last newline.
Result<int64_t> whole_lines_length(int fd, int64_t size, const std::string& path) {
  std::string block(4096, '\0');
  int64_t end = size;
  while (end > 0) {
    const int64_t start = std::max<int64_t>(0, end - static_cast<int64_t>(block.size()));
    const ssize_t got = ::pread(fd, block.data(), static_cast<size_t>(end - start), start);
    if (got != end - start) return errno_status(got < 0 ? errno : EIO, "read log " + quote(path));
    const size_t newline = std::string_view(block).substr(0, static_cast<size_t>(got)).rfind('\n');
    if (newline != std::string_view::npos) return start + static_cast<int64_t>(newline) + 1;
    end = start;
  }
  return int64_t{0};
}

Result<UniqueFd> open_log(const std::string& path, int extra_flags) {
  // O_RDWR: the end of an older file is read back.
  return sys::open_file(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | extra_flags, 0640);
}

}  // namespace

JsonLogWriter::JsonLogWriter(JsonLogOptions options, UniqueFd fd, int64_t size)
    : options_(std::move(options)),
      attrs_json_(encode_attrs(options_.attrs)),
      fd_(std::move(fd)),
      size_(size) {
  note_file();
}

void JsonLogWriter::note_file() {
  struct stat facts = {};
  inode_ = ::fstat(fd_.get(), &facts) == 0 ? facts.st_ino : 0;
  begun_ns_ = begun_at(fd_.get());
}

Result<std::unique_ptr<JsonLogWriter>> JsonLogWriter::open(JsonLogOptions options) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_log(options.path, 0));
  struct stat facts = {};
  if (::fstat(fd.get(), &facts) != 0) return errno_status(errno, "stat log " + quote(options.path));
  if (!S_ISREG(facts.st_mode))
    return invalid_argument("open log " + quote(options.path) + ": not a regular file");
  POUCH_ASSIGN_OR_RETURN(const int64_t size, whole_lines_length(fd.get(), facts.st_size, options.path));
  if (size != facts.st_size && ::ftruncate(fd.get(), size) != 0) {
    return errno_status(errno, "cut the damaged end of log " + quote(options.path));
  }
  return std::unique_ptr<JsonLogWriter>(new JsonLogWriter(std::move(options), std::move(fd), size));
}

void JsonLogWriter::add(std::string_view text, LogStream stream, Timestamp time) {
  const bool is_full =
      options_.max_size > 0 && size_ + static_cast<int64_t>(pending_.size()) >= options_.max_size;
  if (is_full) {
    Status done = write_pending();
    if (done.is_ok()) done = rotate();
    if (!done.is_ok() && failure_.is_ok()) failure_ = done;
  }
  encode_log_line(pending_, text, stream, time, attrs_json_);
  (stream == LogStream::kStdout ? added_.stdout_bytes : added_.stderr_bytes) += text.size();
}

Status JsonLogWriter::flush() {
  Status done = write_pending();
  if (done.is_ok()) done = failure_;
  failure_ = Status();
  return done;
}

Status JsonLogWriter::write_pending() {
  if (pending_.empty()) return {};
  if (!fd_.is_valid()) {  // a rotation could not open the new file
    POUCH_ASSIGN_OR_RETURN(fd_, open_log(options_.path, 0));
    note_file();
  }
  std::string data = std::exchange(pending_, {});
  Status written = sys::write_all(fd_.get(), data);
  if (written.is_ok()) {
    const bool is_first = size_ == 0;
    size_ += static_cast<int64_t>(data.size());
    if (is_first) begun_ns_ = begun_at(fd_.get());
    return {};
  }
  // Half an entry would damage the next one.
  if (::ftruncate(fd_.get(), size_) != 0) {
    written = written.prefix("cut back after a failure, in vain");
  } else if (data.size() <= kMaxKept) {
    pending_ = std::move(data);  // for the next time: a full disk may have room then
  }
  return written.prefix("write log " + quote(options_.path));
}

Status JsonLogWriter::rotate() {
  // Never truncated in place: who follows the file by its inode can still read it to its end.
  const std::string& path = options_.path;
  if (options_.max_file <= 1) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      return errno_status(errno, "rotate log " + quote(path));
  }
  for (int i = options_.max_file - 1; i >= 1; --i) {
    const std::string from = i == 1 ? path : path + "." + std::to_string(i - 1);
    const std::string to = path + "." + std::to_string(i);
    const Status renamed = sys::rename_file(from, to);
    if (!renamed.is_ok() && renamed.code() != Code::kNotFound) {
      return renamed.prefix("rotate log " + quote(from));
    }
  }
  // Open until the new one is there, which thus has another inode.
  const UniqueFd old = std::move(fd_);
  POUCH_ASSIGN_OR_RETURN(fd_, open_log(path, O_TRUNC));
  note_file();
  size_ = 0;
  return {};
}

}  // namespace pouch::io
