#include "core/base/log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <utility>
#include <vector>

namespace pouch {
namespace {

struct Sink {
  int id;
  LogLevel level;
  LogSink write;
};

struct Sinks {
  std::shared_mutex mutex;
  std::vector<Sink> list;
  int next_id = 1;
  std::atomic<int> max_level{0};
};

// Leaked on purpose: threads may log while the process exits.
Sinks& sinks() {
  static Sinks* instance = std::make_unique<Sinks>().release();
  return *instance;
}

void update_max_level(Sinks& all) {
  int level = 0;
  for (const Sink& sink : all.list) level = std::max(level, static_cast<int>(sink.level));
  all.max_level.store(level, std::memory_order_relaxed);
}

constexpr std::array<std::pair<LogLevel, std::string_view>, 5> kLevels = {{
    {LogLevel::kError, "error"},
    {LogLevel::kWarning, "warning"},
    {LogLevel::kInfo, "info"},
    {LogLevel::kDebug, "debug"},
    {LogLevel::kTrace, "trace"},
}};

}  // namespace

std::string_view log_level_name(LogLevel level) {
  for (const auto& [value, name] : kLevels) {
    if (value == level) return name;
  }
  return "info";
}

const LogLevel* log_level_from_name(std::string_view name) {
  for (const auto& entry : kLevels) {
    if (entry.second == name) return &entry.first;
  }
  return nullptr;
}

std::string format_log_line(const LogRecord& record) {
  std::string line =
      record.time.to_rfc3339() + " " + std::string(log_level_name(record.level)) + " " + record.component;
  if (!record.object.empty()) line += " [" + record.object + "]";
  if (!record.request_id.empty()) line += " (" + record.request_id + ")";
  return line + ": " + record.message;
}

int add_log_sink(LogLevel level, LogSink sink) {
  Sinks& all = sinks();
  const std::unique_lock lock(all.mutex);
  const int id = all.next_id++;
  all.list.push_back({id, level, std::move(sink)});
  update_max_level(all);
  return id;
}

void remove_log_sink(int id) {
  Sinks& all = sinks();
  const std::unique_lock lock(all.mutex);
  std::erase_if(all.list, [id](const Sink& sink) { return sink.id == id; });
  update_max_level(all);
}

bool is_log_enabled(LogLevel level) {
  return static_cast<int>(level) <= sinks().max_level.load(std::memory_order_relaxed);
}

void log_message(LogLevel level, std::string_view component, std::string message, std::string_view object,
                 std::string_view request_id) {
  if (!is_log_enabled(level)) return;
  LogRecord record{
      Timestamp::now(),  level, std::string(component), {}, std::string(object), std::string(request_id),
      std::move(message)};
  Sinks& all = sinks();
  const std::shared_lock lock(all.mutex);
  for (const Sink& sink : all.list) {
    if (level <= sink.level) sink.write(record);
  }
}

}  // namespace pouch
