#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/io/stream.h"

// A stream's attached clients, and those of a worker that died: they come back and go on where they stood.

namespace pouch::io {
namespace {

// More than a client may be behind and then some; what is to be sent at once is held in memory.
constexpr uint64_t kMaxMissing = uint64_t{16} << 20;

uint64_t& of_stream(OutputCounts& counts, LogStream stream) {
  return stream == LogStream::kStdout ? counts.stdout_bytes : counts.stderr_bytes;
}

uint64_t less(uint64_t from, uint64_t what) {
  return from > what ? from - what : 0;
}

}  // namespace

void Stream::subscribe(Subscriber* subscriber) {
  subscribers_.push_back(subscriber);
}

void Stream::unsubscribe(Subscriber* subscriber, bool had_stdin) {
  if (std::erase(subscribers_, subscriber) == 0) return;
  for (StdinChunk& chunk : stdin_queue_) {
    if (chunk.from == subscriber) chunk.from = nullptr;
  }
  reconsider_pause();
  if (had_stdin) client_closed_stdin();
}

OutputCounts Stream::position() const {
  if (!log_) return unlogged_;
  OutputCounts counts = log_->added();
  for (const Watched& output : outputs_) {
    of_stream(counts, output.tap->stream()) += output.tap->unfinished().size();
  }
  return counts;
}

// Before anybody is given it. Only what was logged is noted: what is in the log behind the mark is counted by
// the next worker.
void Stream::note_output(std::string_view chunk, LogStream stream) {
  if (!log_) of_stream(unlogged_, stream) += chunk.size();
  if (!record_) return;
  if (!log_) record_->set_mark({unlogged_, {}});
  if (log_ && !log_->has_pending()) record_->set_mark({log_->added(), log_->place()});
}

Result<std::vector<OutputPiece>> Stream::output_since(const OutputCounts& from,
                                                      const AttachSpec& wanted) const {
  const OutputCounts now = position();
  OutputCounts missing;
  if (wanted.want_stdout) missing.stdout_bytes = less(now.stdout_bytes, from.stdout_bytes);
  if (wanted.want_stderr) missing.stderr_bytes = less(now.stderr_bytes, from.stderr_bytes);
  std::vector<OutputPiece> pieces;
  const uint64_t total = missing.stdout_bytes + missing.stderr_bytes;
  if (!log_ || total == 0) return pieces;
  const bool is_kept = (missing.stdout_bytes == 0 || from.stdout_bytes >= kept_from_.stdout_bytes) &&
                       (missing.stderr_bytes == 0 || from.stderr_bytes >= kept_from_.stderr_bytes) &&
                       total <= kMaxMissing && !log_->has_pending();
  if (!is_kept) return not_found("read back " + std::to_string(total) + " bytes of output: not kept");
  OutputCounts in_log = missing;
  for (const Watched& output : outputs_) {
    uint64_t& count = of_stream(in_log, output.tap->stream());
    count = less(count, output.tap->unfinished().size());
  }
  if (in_log.stdout_bytes + in_log.stderr_bytes > 0) {
    POUCH_ASSIGN_OR_RETURN(pieces, last_output(spec_.log.path, in_log));
  }
  for (const Watched& output : outputs_) {
    const std::string_view rest = output.tap->unfinished();
    const size_t wanted_rest = std::min<uint64_t>(of_stream(missing, output.tap->stream()), rest.size());
    add_output(pieces, output.tap->stream(), rest.substr(rest.size() - wanted_rest), wanted_rest);
  }
  return pieces;
}

uint64_t Stream::note_client(uint64_t number) {
  if (!record_) {
    Result<std::unique_ptr<StreamRecord>> record =
        StreamRecord::create(file(kRecordSuffix), spec_.generation);
    if (!record.is_ok()) {
      log_warning("io", record.status().message(), spec_.container_id);
      return 0;
    }
    record_ = std::move(*record);
    note_output({}, LogStream::kStdout);
  }
  return record_->add_client(number);
}

void Stream::forget_client(uint64_t number) {
  if (record_) record_->remove_client(number);
  settle_client(number);
}

std::optional<uint64_t> Stream::input_of(uint64_t number) const {
  return record_ ? record_->input_of(number) : std::nullopt;
}

void Stream::note_input(uint64_t number, uint64_t bytes) {
  if (record_) record_->set_input(number, bytes);
}

void Stream::settle_client(uint64_t number) {
  if (std::erase(awaited_, number) > 0 && awaited_.empty()) await_no_more();
}

// What the log got after the mark, a chunk at most, is in the FIFO still and will be logged again.
Status Stream::take_up_counts() {
  OutputCounts counts = record_->mark().counts;
  if (!log_) {
    unlogged_ = counts;
    return {};
  }
  const Result<OutputCounts> since = count_output(spec_.log.path, record_->mark().place);
  if (since.is_ok()) {
    counts.stdout_bytes += since->stdout_bytes;
    counts.stderr_bytes += since->stderr_bytes;
  }
  log_->set_added(counts);
  return since.status();
}

void Stream::take_up_clients() {
  Result<std::unique_ptr<StreamRecord>> record = StreamRecord::open(file(kRecordSuffix), spec_.generation);
  Status taken = record.status();
  if (record.is_ok()) {
    record_ = std::move(*record);
    taken = take_up_counts();
    awaited_ = record_->clients();
  }
  if (!taken.is_ok()) kept_from_ = position();
  if (!taken.is_ok() && taken.code() != Code::kNotFound)
    log_warning("io", taken.message(), spec_.container_id);
  if (!is_awaiting()) return;
  // Nothing is read until then, and so nothing ends: a client that reads is back within milliseconds, and
  // there is little to be looked for in the log. The others find there what they miss.
  return_timer_ = context_.loop.after_ms(context_.return_grace_ms, [this] {
    return_timer_ = 0;
    for (const uint64_t number : std::exchange(awaited_, {})) record_->remove_client(number);
    await_no_more();
  });
  reconsider_pause();
}

void Stream::await_no_more() {
  if (return_timer_ != 0) context_.loop.cancel(std::exchange(return_timer_, 0));
  reconsider_pause();
  if (is_draining_ && !is_finished_) begin_drain();
}

}  // namespace pouch::io
