#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "core/base/clock.h"

namespace pouch {

enum class LogLevel : int { kError = 1, kWarning = 2, kInfo = 3, kDebug = 4, kTrace = 5 };

/// One thing that happened. `object` is the container, image, … it is about; may be empty.
struct LogRecord {
  Timestamp time;
  LogLevel level = LogLevel::kInfo;
  std::string component;  ///< the folder that speaks: "ctrd", "container", …
  std::string root;       ///< id of the engine root, if known
  std::string object;
  std::string request_id;
  std::string message;
  pid_t pid = 0;
};

std::string_view log_level_name(LogLevel level);  ///< "error", "warning", …
/// Null for an unknown name.
const LogLevel* log_level_from_name(std::string_view name);
/// One line: RFC 3339 time, level, component[pid], what is known of root=, object= and request=, message.
std::string format_log_line(const LogRecord& record);

/// What the records of this thread are about, as far as they do not say themselves.
struct LogScope {
  std::string root;
  std::string object;
  std::string request_id;
};
const LogScope& current_log_scope();

/// Sets the scope of this thread for its own life; empty fields leave what was there.
class LogScoped {
 public:
  explicit LogScoped(LogScope scope);
  ~LogScoped();
  LogScoped(const LogScoped&) = delete;
  LogScoped& operator=(const LogScoped&) = delete;

 private:
  LogScope before_;
};

/// For programs of one root: what records without a root of their own carry. Set once, early.
void set_default_log_root(std::string root);

using LogSink = std::function<void(const LogRecord&)>;

/// Adds a receiver of all records up to `level`; it is called on the logging thread and must be quick. What
/// it logs itself is dropped. Returns an id for remove_log_sink, which waits until the sink no longer runs.
/// A child of fork() begins without sinks: a lock that another thread held at the fork is never met.
int add_log_sink(LogLevel level, LogSink sink);
void remove_log_sink(int id);
/// False makes log_message() nearly free.
bool is_log_enabled(LogLevel level);
void log_message(LogLevel level, std::string_view component, std::string message,
                 std::string_view object = {}, std::string_view request_id = {});

inline void log_error(std::string_view component, std::string message, std::string_view object = {}) {
  log_message(LogLevel::kError, component, std::move(message), object);
}
inline void log_warning(std::string_view component, std::string message, std::string_view object = {}) {
  log_message(LogLevel::kWarning, component, std::move(message), object);
}
inline void log_info(std::string_view component, std::string message, std::string_view object = {}) {
  log_message(LogLevel::kInfo, component, std::move(message), object);
}
inline void log_debug(std::string_view component, std::string message, std::string_view object = {}) {
  if (is_log_enabled(LogLevel::kDebug)) log_message(LogLevel::kDebug, component, std::move(message), object);
}

}  // namespace pouch
