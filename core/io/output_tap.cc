#include "core/io/output_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/sys/file.h"

namespace pouch::io {

Result<std::unique_ptr<PartialLine>> PartialLine::open(const std::string& path) {
  std::unique_ptr<PartialLine> partial(new PartialLine(path));
  Status mapped = partial->map(0);
  if (!mapped.is_ok() && mapped.code() != Code::kNotFound) return mapped;
  const Layout* layout = partial->layout_;
  if (layout != nullptr && layout->length < kMaxLogEntryBytes) {
    partial->rest_.assign(layout->bytes.data(), layout->length);
    partial->is_continued_ = layout->is_continued != 0;
    partial->line_time_ns_ = layout->line_time_ns;
  }
  return partial;
}

Status PartialLine::map(int extra_flags) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd fd, sys::open_file(path_, O_RDWR | O_NOFOLLOW | extra_flags, 0600));
  if (::ftruncate(fd.get(), sizeof(Layout)) != 0) return errno_status(errno, "size " + quote(path_));
  void* memory = ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return errno_status(errno, "map " + quote(path_));
  layout_ = static_cast<Layout*>(memory);
  return {};
}

PartialLine::~PartialLine() {
  if (layout_ != nullptr) ::munmap(layout_, sizeof(Layout));
}

void PartialLine::emit(std::string_view text, bool is_line_end, LogStream stream, JsonLogWriter& log) {
  // All entries of a line have the time of its first.
  const Timestamp time = is_continued_ ? Timestamp{line_time_ns_} : Timestamp::now();
  log.add(text, stream, time);
  is_continued_ = !is_line_end;
  line_time_ns_ = time.ns;
}

void PartialLine::split(std::string_view chunk, LogStream stream, JsonLogWriter& log) {
  is_append_ = true;
  while (!chunk.empty()) {
    // An entry ends after a newline found within its limit, or at the limit.
    const size_t room = kMaxLogEntryBytes - rest_.size();
    const size_t newline = chunk.substr(0, room).find('\n');
    const bool is_line_end = newline != std::string_view::npos;
    if (!is_line_end && chunk.size() < room) break;
    const size_t length = is_line_end ? newline + 1 : room;
    if (rest_.empty()) {
      emit(chunk.substr(0, length), is_line_end, stream, log);
    } else {
      rest_ += chunk.substr(0, length);
      emit(rest_, is_line_end, stream, log);
      rest_.clear();
    }
    is_append_ = false;
    chunk.remove_prefix(length);
  }
  rest_ += chunk;
}

Status PartialLine::commit() {
  if (layout_ == nullptr) {
    if (rest_.empty() && !is_continued_) return {};
    is_append_ = false;  // the new file has nothing
    POUCH_RETURN_IF_ERROR(map(O_CREAT));
  }
  // A kill at any point here repeats the chunk, which is still in the FIFO; the length is stored last, so
  // that the bytes it covers are always whole.
  volatile uint32_t* length = &layout_->length;
  if (!is_append_) *length = 0;
  layout_->is_continued = is_continued_ ? 1 : 0;
  layout_->line_time_ns = line_time_ns_;
  const size_t kept = *length;
  std::memcpy(layout_->bytes.data() + kept, rest_.data() + kept, rest_.size() - kept);
  *length = static_cast<uint32_t>(rest_.size());
  return {};
}

void PartialLine::finish(LogStream stream, JsonLogWriter& log) {
  if (rest_.empty()) return;
  emit(rest_, false, stream, log);
  rest_.clear();
}

Result<std::unique_ptr<ScratchPipe>> ScratchPipe::create() {
  auto scratch = std::make_unique<ScratchPipe>();
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return errno_status(errno, "create pipe");
  scratch->read_end.reset(ends[0]);
  scratch->write_end.reset(ends[1]);
  POUCH_ASSIGN_OR_RETURN(scratch->null, sys::open_file("/dev/null", O_WRONLY));
  return scratch;
}

Result<std::unique_ptr<OutputTap>> OutputTap::open(const std::string& path, LogStream stream,
                                                   bool keeps_log) {
  if (::mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST)
    return errno_status(errno, "make FIFO " + quote(path));
  std::unique_ptr<OutputTap> tap(new OutputTap(stream));
  POUCH_ASSIGN_OR_RETURN(tap->reader_, sys::open_file(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
  POUCH_ASSIGN_OR_RETURN(tap->writer_, sys::open_file(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW));
  if (keeps_log) {
    POUCH_ASSIGN_OR_RETURN(tap->partial_, PartialLine::open(path + ".part"));
  }
  return tap;
}

Status OutputTap::log_chunk(std::string_view chunk, JsonLogWriter& log) {
  partial_->split(chunk, stream_, log);
  Status flushed = log.flush();
  // Also after a failure: what cannot be logged must not stop the container.
  const Status committed = partial_->commit();
  return flushed.is_ok() ? committed : flushed;
}

namespace {

// Takes `length` bytes out of a pipe; they are there.
void discard(int pipe, ScratchPipe& scratch, size_t length) {
  std::array<char, 4096> lost;  // where it cannot be spliced; the scratch buffer holds the chunk
  while (length > 0) {
    ssize_t moved = ::splice(pipe, nullptr, scratch.null.get(), nullptr, length, SPLICE_F_NONBLOCK);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) moved = ::read(pipe, lost.data(), std::min(length, lost.size()));
    if (moved <= 0) return;
    length -= static_cast<size_t>(moved);
  }
}

// What is in `fifo` now, without taking it out: the count, 0 at its end, -1 with errno.
ssize_t look_at(int fifo, ScratchPipe& scratch) {
  const ssize_t count = ::tee(fifo, scratch.write_end.get(), scratch.buffer.size(), SPLICE_F_NONBLOCK);
  ssize_t seen = 0;
  while (seen < count) {
    const ssize_t got =
        ::read(scratch.read_end.get(), scratch.buffer.data() + seen, static_cast<size_t>(count - seen));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got;
    seen += got;
  }
  return count;
}

}  // namespace

OutputTap::Outcome OutputTap::pump(ScratchPipe& scratch, JsonLogWriter* log, Status& log_failure,
                                   const std::function<void(std::string_view)>& deliver) {
  const bool is_logged = log != nullptr && partial_ != nullptr;
  ssize_t count = 0;
  do {
    count = is_logged ? look_at(fd(), scratch) : ::read(fd(), scratch.buffer.data(), scratch.buffer.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno == EAGAIN) return Outcome::kEmpty;
  if (count < 0) log_error("io", "read container output: " + errno_status(errno, "tee").message());
  if (count <= 0) return Outcome::kEnd;
  const std::string_view chunk(scratch.buffer.data(), static_cast<size_t>(count));
  bytes_ += chunk.size();
  if (is_logged) {
    // Between these two a kill has the next worker log the chunk again. Only then is it delivered: a client
    // that a kill keeps from getting it is sent it from the log.
    log_failure = log_chunk(chunk, *log);
    discard(fd(), scratch, chunk.size());
  }
  deliver(chunk);
  return Outcome::kRead;
}

Status OutputTap::finish(JsonLogWriter* log) {
  if (log == nullptr || partial_ == nullptr) return {};
  partial_->finish(stream_, *log);
  return log->flush();
}

}  // namespace pouch::io
