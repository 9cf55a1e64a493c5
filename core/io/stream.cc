#include "core/io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/io/json_text.h"
#include "core/io/wire.h"
#include "core/sys/file.h"

namespace pouch::io {
namespace {

// <io_dir>/<id>.<suffix>. No folder for each: on some file systems removing one takes milliseconds.
constexpr char kStateSuffix[] = ".state";
constexpr std::array<const char*, 7> kSuffixes = {".stdin",       ".stdout",     ".stderr",   ".stdout.part",
                                                  ".stderr.part", kRecordSuffix, kStateSuffix};
// The state file is so many flags, '0' or '1', that are changed in place, and then JSON that never changes.
constexpr size_t kFlags = 3;
constexpr char kStateFormat[] = "1";
// What is read at once after the grace: what the pipes can hold, not what a process still writes.
constexpr int kMaxLastChunks = 16;
// How often a grace in which something came is followed by another.
constexpr int kMaxDrainRounds = 5;

}  // namespace

Stream::Stream(StreamContext& context, StdioSpec spec)
    : context_(context), spec_(std::move(spec)), base_(context.io_dir + "/" + spec_.stream_id) {}

Stream::~Stream() {
  release_all();
}

void Stream::remove_files(const StreamContext& context, const std::string& id) {
  for (const char* suffix : kSuffixes) {
    const std::string path = context.io_dir + "/" + id + suffix;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      log_warning("io", errno_status(errno, "remove " + path).message());
  }
}

std::string Stream::id_of_state_file(const std::string& name) {
  const std::string_view suffix = kStateSuffix;
  return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : std::string();
}

Result<std::unique_ptr<Stream>> Stream::create(StreamContext& context, StdioSpec spec) {
  std::unique_ptr<Stream> stream(new Stream(context, std::move(spec)));
  const std::string& id = stream->spec_.stream_id;
  remove_files(context, id);
  Status opened = stream->open_all(false);
  if (opened.is_ok()) opened = stream->write_state();
  if (opened.is_ok()) return stream;
  if (context.vault != nullptr) context.vault->release(id);
  stream->release_all();
  remove_files(context, id);
  return opened;
}

Result<std::unique_ptr<Stream>> Stream::adopt(StreamContext& context, const std::string& id) {
  POUCH_ASSIGN_OR_RETURN(const std::string text, sys::read_file(context.io_dir + "/" + id + kStateSuffix));
  if (text.size() < kFlags) return Status(Code::kDataLoss, "its state was not written");
  POUCH_ASSIGN_OR_RETURN(const Fields fields, decode_string_map(std::string_view(text).substr(kFlags)));
  StdioSpec spec = decode_spec(fields);
  if (text_field(fields, "format") != kStateFormat || spec.stream_id != id) {
    return Status(Code::kDataLoss, "its state is of another kind");
  }
  std::unique_ptr<Stream> stream(new Stream(context, std::move(spec)));
  stream->is_started_ = text[0] == '1';
  stream->is_stdin_closing_ = text[1] == '1';
  stream->is_stdin_closed_ = text[2] == '1';
  POUCH_RETURN_IF_ERROR(stream->open_all(true));
  stream->take_up_clients();
  stream->take_up_stdin();
  return stream;
}

std::string Stream::flags() const {
  return {is_started_ ? '1' : '0', is_stdin_closing_ ? '1' : '0', is_stdin_closed_ ? '1' : '0'};
}

Status Stream::write_state() const {
  Fields fields = encode_spec(spec_);
  fields["format"] = kStateFormat;
  POUCH_ASSIGN_OR_RETURN(const UniqueFd fd,
                         sys::open_file(file(kStateSuffix), O_WRONLY | O_CREAT | O_EXCL, 0600));
  return sys::write_all(fd.get(), flags() + encode_string_map(fields)).prefix("write stream state");
}

Status Stream::save() const {
  const std::string path = file(kStateSuffix);
  POUCH_ASSIGN_OR_RETURN(const UniqueFd fd, sys::open_file(path, O_WRONLY));
  if (::pwrite(fd.get(), flags().data(), kFlags, 0) < 0) return errno_status(errno, "write " + quote(path));
  return {};
}

void Stream::save_or_warn() const {
  if (Status saved = save(); !saved.is_ok()) log_warning("io", saved.message(), spec_.container_id);
}

Status Stream::open_log(bool is_adopted) {
  const std::string& driver = spec_.log.driver;
  if (driver.empty() || driver == "none") return {};
  if (driver != "json-file") return not_implemented("HostConfig.LogConfig.Type " + quote(driver));
  auto log = JsonLogWriter::open({spec_.log.path, spec_.log.max_size, spec_.log.max_file, spec_.log.attrs});
  if (log.is_ok()) {
    log_ = std::move(*log);
    return {};
  }
  if (!is_adopted) return log.status();
  // The container runs; it must not be blocked for a lost log.
  note_log_failure(log.status());
  return {};
}

Status Stream::add_tap(const char* suffix, LogStream stream) {
  Watched output;
  POUCH_ASSIGN_OR_RETURN(output.tap, OutputTap::open(file(suffix), stream, log_ != nullptr));
  const size_t index = outputs_.size();
  POUCH_ASSIGN_OR_RETURN(output.watch, context_.loop.add(output.tap->fd(), EPOLLIN,
                                                         [this, index](uint32_t) { on_output(index); }));
  outputs_.push_back(std::move(output));
  return {};
}

Status Stream::open_stdin() {
  const std::string path = file(".stdin");
  if (::mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST)
    return errno_status(errno, "make FIFO " + quote(path));
  // Reader and writer in one: opening does not wait for the runtime, and what is written stays until it
  // reads.
  POUCH_ASSIGN_OR_RETURN(stdin_, sys::open_file(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW));
  return {};
}

Status Stream::open_all(bool is_adopted) {
  POUCH_RETURN_IF_ERROR(open_log(is_adopted));
  POUCH_RETURN_IF_ERROR(add_tap(".stdout", LogStream::kStdout));
  if (!spec_.tty) POUCH_RETURN_IF_ERROR(add_tap(".stderr", LogStream::kStderr));
  if (spec_.want_stdin && !is_stdin_closed_) POUCH_RETURN_IF_ERROR(open_stdin());
  if (context_.vault != nullptr) {
    std::vector<int> fds;
    for (const Watched& output : outputs_) fds.push_back(output.tap->fd());
    context_.vault->hold(spec_.stream_id, fds);
  }
  return {};
}

StdioPaths Stream::paths() const {
  return {spec_.want_stdin ? file(".stdin") : "", file(".stdout"), spec_.tty ? "" : file(".stderr")};
}

void Stream::note_log_failure(const Status& failure) {
  if (failure.is_ok()) return;
  kept_from_ = position();
  if (counts_.log_complete) log_error("io", failure.message(), spec_.container_id);
  counts_.log_complete = false;
}

// --- output ---

OutputTap::Outcome Stream::pump(Watched& output) {
  const LogStream stream = output.tap->stream();
  const FrameType type = stream == LogStream::kStdout ? FrameType::kStdout : FrameType::kStderr;
  Status log_failure;
  const auto outcome =
      output.tap->pump(context_.scratch, log_.get(), log_failure, [&](std::string_view chunk) {
        note_output(chunk, stream);
        // A copy: a client that is too slow leaves while it is served.
        const std::vector<Subscriber*> subscribers = subscribers_;
        for (Subscriber* subscriber : subscribers) subscriber->deliver(type, chunk);
      });
  note_log_failure(log_failure);
  reconsider_pause();
  return outcome;
}

// Not for slow clients while draining: what a process leaves behind is little, and must be read in time.
void Stream::reconsider_pause() {
  const bool is_congested =
      std::any_of(subscribers_.begin(), subscribers_.end(),
                  [](const Subscriber* subscriber) { return subscriber->is_congested(); });
  const bool should_pause = is_awaiting() || (is_congested && !is_draining_);
  if (should_pause == is_paused_) return;
  is_paused_ = should_pause;
  for (Watched& output : outputs_) {
    if (!output.is_open) continue;
    Status changed =
        context_.loop.set_events(output.watch, should_pause ? 0U : static_cast<uint32_t>(EPOLLIN));
    if (!changed.is_ok()) log_error("io", changed.message(), spec_.container_id);
  }
}

void Stream::on_output(size_t index) {
  Watched& output = outputs_[index];
  // One chunk a turn: no container keeps the others waiting.
  if (pump(output) != OutputTap::Outcome::kEnd) return;
  close_output(output);
  if (is_draining_ && is_all_read()) finish(EndReason::kExited, "");
}

bool Stream::is_all_read() const {
  return std::none_of(outputs_.begin(), outputs_.end(), [](const Watched& output) { return output.is_open; });
}

void Stream::close_output(Watched& output) {
  if (!output.is_open) return;
  output.is_open = false;
  context_.loop.remove(output.watch);
  note_log_failure(output.tap->finish(log_.get()));
}

void Stream::drain(DrainDone done) {
  if (is_finished_) return done(counts_);
  drain_waiters_.push_back(std::move(done));
  if (is_draining_) return;
  is_draining_ = true;
  reconsider_pause();
  drop_stdin();
  if (!is_awaiting()) begin_drain();
}

void Stream::begin_drain() {
  // Without our own writers the end of file comes when the runtime's are closed.
  for (Watched& output : outputs_) output.tap->close_writer();
  // Only after a read failed (told in the log of the keeper) is there nothing to wait for.
  if (is_all_read()) return finish(EndReason::kExited, "");
  wait_for_rest();
}

// The grace counts from the last byte: on a busy machine what the runtime still has to copy takes its time.
void Stream::wait_for_rest() {
  drained_at_check_ = bytes_read();
  drain_timer_ = context_.loop.after_ms(context_.drain_grace_ms, [this] { check_drain(); });
}

void Stream::check_drain() {
  drain_timer_ = 0;
  // This thread, too, may have had no time: what has come meanwhile is read before anything is concluded.
  for (Watched& output : outputs_) {
    if (output.is_open && pump_last(output) == OutputTap::Outcome::kEnd) close_output(output);
  }
  if (is_all_read()) return finish(EndReason::kExited, "");
  if (bytes_read() == drained_at_check_ || ++drain_rounds_ >= kMaxDrainRounds) return cut_off();
  wait_for_rest();
}

// Some process still holds the pipe open: what was in it is the last.
void Stream::cut_off() {
  for (Watched& output : outputs_) {
    if (output.is_open) counts_.reached_eof = false;
    close_output(output);
  }
  finish(EndReason::kExited, "");
}

OutputTap::Outcome Stream::pump_last(Watched& output) {
  auto outcome = OutputTap::Outcome::kRead;
  for (int i = 0; i < kMaxLastChunks && outcome == OutputTap::Outcome::kRead; ++i) outcome = pump(output);
  return outcome;
}

uint64_t Stream::bytes_read() const {
  uint64_t bytes = 0;
  for (const Watched& output : outputs_) bytes += output.tap->bytes();
  return bytes;
}

void Stream::discard(const std::string& reason) {
  if (!is_finished_) finish(EndReason::kFailed, reason);
}

void Stream::finish(EndReason reason, const std::string& message) {
  if (is_finished_) return;
  is_finished_ = true;
  for (Watched& output : outputs_) {
    close_output(output);
    (output.tap->stream() == LogStream::kStdout ? counts_.stdout_bytes : counts_.stderr_bytes) +=
        output.tap->bytes();
  }
  drop_stdin();
  if (context_.vault != nullptr) context_.vault->release(spec_.stream_id);
  const int64_t position = log_position();
  for (Subscriber* subscriber : std::exchange(subscribers_, {})) subscriber->end(reason, message, position);
  release_all();
  remove_files(context_, spec_.stream_id);
  for (const DrainDone& done : std::exchange(drain_waiters_, {})) done(counts_);
}

void Stream::leave() {
  for (Subscriber* subscriber : std::exchange(subscribers_, {})) {
    subscriber->end(EndReason::kShutdown, "the keeper ends", log_position());
  }
  if (record_) record_->remove_clients();
}

void Stream::release_all() {
  if (drain_timer_ != 0) context_.loop.cancel(std::exchange(drain_timer_, 0));
  if (return_timer_ != 0) context_.loop.cancel(std::exchange(return_timer_, 0));
  if (stdin_watch_ != 0) context_.loop.remove(std::exchange(stdin_watch_, 0));
  for (Watched& output : outputs_) {
    if (output.is_open) context_.loop.remove(output.watch);
  }
  outputs_.clear();
  stdin_.reset();
  log_.reset();
}

// --- stdin ---

void Stream::write_stdin(Subscriber* from, std::string_view data) {
  if (!stdin_.is_valid() || is_stdin_closing_) {
    from->stdin_taken(data.size());  // nobody reads it
    return;
  }
  stdin_queue_.push_back({from, std::string(data)});
  if (stdin_watch_ == 0) flush_stdin();
}

void Stream::flush_stdin() {
  while (!stdin_queue_.empty()) {
    StdinChunk& chunk = stdin_queue_.front();
    const ssize_t put = ::write(stdin_.get(), chunk.data.data(), chunk.data.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EAGAIN) {
      if (stdin_watch_ != 0) return;
      auto watch = context_.loop.add(stdin_.get(), EPOLLOUT, [this](uint32_t) { flush_stdin(); });
      if (watch.is_ok()) stdin_watch_ = *watch;
      if (!watch.is_ok()) log_error("io", watch.status().message(), spec_.container_id);
      return;
    }
    const size_t taken = put < 0 ? chunk.data.size() : static_cast<size_t>(put);
    Subscriber* from = chunk.from;
    chunk.data.erase(0, taken);
    if (chunk.data.empty()) stdin_queue_.pop_front();
    if (from != nullptr) from->stdin_taken(taken);
  }
  if (stdin_watch_ != 0) context_.loop.remove(std::exchange(stdin_watch_, 0));
  finish_stdin();
}

void Stream::client_closed_stdin() {
  if (spec_.stdin_once) close_stdin();
}

void Stream::close_stdin() {
  if (!spec_.want_stdin || is_stdin_closed_) return;
  is_stdin_closing_ = true;
  finish_stdin();
  if (!is_stdin_closed_) save_or_warn();
}

void Stream::mark_started() {
  if (is_started_) return;
  is_started_ = true;
  save_or_warn();
  finish_stdin();
}

// Before the runtime has its end open, a close would lose what is in the FIFO, and CloseIO would be too
// early.
void Stream::finish_stdin() {
  if (!is_stdin_closing_ || is_stdin_closed_ || !is_started_ || !stdin_queue_.empty()) return;
  is_stdin_closed_ = true;
  stdin_.reset();
  // First the note: who dies after it is followed by one that tells the runtime.
  save_or_warn();
  if (context_.hooks != nullptr) {
    context_.hooks->close_stdin(spec_.stream_id, spec_.container_id, spec_.generation);
  }
}

// The worker before may have died between its note of the close and the runtime's; CloseIO may come twice.
void Stream::take_up_stdin() {
  if (is_stdin_closed_ && is_started_ && context_.hooks != nullptr) {
    context_.hooks->close_stdin(spec_.stream_id, spec_.container_id, spec_.generation);
  }
  finish_stdin();
}

void Stream::drop_stdin() {
  if (stdin_watch_ != 0) context_.loop.remove(std::exchange(stdin_watch_, 0));
  stdin_.reset();
  is_stdin_closed_ = true;
  for (const StdinChunk& chunk : std::exchange(stdin_queue_, {})) {
    if (chunk.from != nullptr) chunk.from->stdin_taken(chunk.data.size());
  }
}

}  // namespace pouch::io
