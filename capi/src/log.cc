#include "pouch/log.h"

#include <fcntl.h>

#include <atomic>
#include <cstdlib>

#include "capi/src/handle.h"
#include "core/api/stream_pipe.h"
#include "core/base/log.h"
#include "core/base/text.h"

namespace pouch::capi {
namespace {

std::string record_json(const LogRecord &record) {
  Json json = json_object();
  json["time"] = record.time.to_rfc3339();
  json["level"] = std::string(log_level_name(record.level));
  json["component"] = record.component;
  // A record may quote foreign bytes; a document may not hold what is no text.
  json["message"] =
      is_valid_utf8(record.message) ? record.message : quote(record.message, record.message.size());
  json["pid"] = static_cast<Json::Int64>(record.pid);
  if (!record.root.empty()) json["root"] = record.root;
  if (!record.object.empty()) json["object"] = record.object;
  if (!record.request_id.empty()) json["request_id"] = record.request_id;
  return write_json(json);
}

LogSink line_sink(int fd) {
  return [fd](const LogRecord &record) {
    const std::string line = format_log_line(record) + "\n";
    // A log that cannot be written is no reason to disturb the program.
    [[maybe_unused]] const ssize_t wrote = ::write(fd, line.data(), line.size());
  };
}

Status read_log_variable() {
  const char *const value = ::secure_getenv("POUCH_LOG");
  if (value == nullptr || *value == '\0') return {};
  const std::string text(value);
  const size_t colon = text.find(':');
  const LogLevel *const level = log_level_from_name(text.substr(0, colon));
  if (level == nullptr) {
    return invalid_argument("environment POUCH_LOG=" + quote(text) +
                            ": expected error, warning, info, debug or trace, then maybe :path");
  }
  int fd = STDERR_FILENO;
  if (colon != std::string::npos) {
    const std::string path = text.substr(colon + 1);
    fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) return errno_status(errno, "environment POUCH_LOG: open " + quote(path));
  }
  // Neither the sink nor its file is ever closed: threads may log until the process ends.
  add_log_sink(*level, line_sink(fd));
  return {};
}

}  // namespace

// Once per process, a child of fork() included, which begins without sinks. No lock, which could be held at
// the fork.
Status start_environment_log() {
  static std::atomic<pid_t> done_by{0};
  pid_t before = done_by.load();
  if (before == ::getpid() || !done_by.compare_exchange_strong(before, ::getpid())) return {};
  const Status read = read_log_variable();
  if (!read.is_ok()) done_by.store(0);
  return read;
}

int add_stderr_log(uint32_t level) {
  return add_log_sink(static_cast<LogLevel>(level), line_sink(STDERR_FILENO));
}

namespace {

Status open_log(uint32_t level, pouch_stream_t **out) {
  if (out == nullptr) return invalid_argument("out must not be NULL");
  if (level < POUCH_LOG_ERROR || level > POUCH_LOG_TRACE) {
    return invalid_argument("level " + std::to_string(level) + " is none; it goes from 1 to 5");
  }
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kDrop);
  auto handle = wrap_stream(pipe->open(), nullptr);
  const int id = add_log_sink(static_cast<LogLevel>(level), [pipe](const LogRecord &record) {
    pipe->push(Channel::kMessage, record_json(record)).ignore();
  });
  pipe->on_cancel([id] { remove_log_sink(id); });
  *out = handle.release();
  return {};
}

}  // namespace
}  // namespace pouch::capi

pouch_status_t pouch_log_open(uint32_t level, pouch_stream_t **out, pouch_error_t **error) {
  if (out != nullptr) *out = nullptr;
  return pouch::capi::guarded(error, [&] { return pouch::capi::open_log(level, out); });
}
