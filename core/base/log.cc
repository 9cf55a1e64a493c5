#include "core/base/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "core/base/scope_guard.h"

namespace pouch {
namespace {

struct Sink {
  int id;
  LogLevel level;
  LogSink write;
};

struct Sinks {
  const pid_t pid = ::getpid();
  std::shared_mutex mutex;
  std::vector<Sink> list;
};

std::atomic<Sinks*> g_sinks{nullptr};
std::atomic<int> g_max_level{0};
std::atomic<int> g_next_id{1};  // goes on in a child, whose sinks are not its parent's
thread_local bool t_is_logging = false;

// Leaked on purpose: threads may log while the process exits. Made anew in a child of fork(), where a lock of
// the parent's may be held for ever.
Sinks& sinks() {
  Sinks* known = g_sinks.load(std::memory_order_acquire);
  while (known == nullptr || known->pid != ::getpid()) {
    auto fresh = std::make_unique<Sinks>();
    if (g_sinks.compare_exchange_strong(known, fresh.get())) {
      g_max_level.store(0, std::memory_order_relaxed);
      return *fresh.release();
    }
  }
  return *known;
}

void update_max_level(Sinks& all) {
  int level = 0;
  for (const Sink& sink : all.list) level = std::max(level, static_cast<int>(sink.level));
  g_max_level.store(level, std::memory_order_relaxed);
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
  std::string line = record.time.to_rfc3339() + " " + std::string(log_level_name(record.level)) + " " +
                     record.component + "[" + std::to_string(record.pid) + "]";
  const auto add = [&line](const char* key, const std::string& value) {
    if (!value.empty()) line += std::string(" ") + key + "=" + value;
  };
  add("root", record.root);
  add("object", record.object);
  add("request", record.request_id);
  return line + ": " + record.message;
}

namespace {

std::atomic<const std::string*> g_default_root{nullptr};

std::string default_root() {
  const std::string* const root = g_default_root.load();
  return root == nullptr ? std::string() : *root;
}

thread_local LogScope* t_scope = nullptr;

struct EndOfThread {
  EndOfThread() = default;
  ~EndOfThread() { const std::unique_ptr<LogScope> ended(std::exchange(t_scope, nullptr)); }
  EndOfThread(const EndOfThread&) = delete;
  EndOfThread& operator=(const EndOfThread&) = delete;
};

// Also after a thread's objects were destroyed: exit() does that on its thread before it calls the handlers
// of atexit, which may use the library. What these make anew stays for the rest of the process.
LogScope& scope_of_thread() {
  if (t_scope == nullptr) {
    [[maybe_unused]] thread_local const EndOfThread end;
    t_scope = std::make_unique<LogScope>().release();
  }
  return *t_scope;
}

}  // namespace

const LogScope& current_log_scope() {
  return scope_of_thread();
}

LogScoped::LogScoped(LogScope scope) : before_(scope_of_thread()) {
  LogScope& now = scope_of_thread();
  if (!scope.root.empty()) now.root = std::move(scope.root);
  if (!scope.object.empty()) now.object = std::move(scope.object);
  if (!scope.request_id.empty()) now.request_id = std::move(scope.request_id);
}

void set_default_log_root(std::string root) {
  // Leaked: records may be under way.
  g_default_root.store(std::make_unique<std::string>(std::move(root)).release());
}

LogScoped::~LogScoped() {
  scope_of_thread() = std::move(before_);
}

int add_log_sink(LogLevel level, LogSink sink) {
  Sinks& all = sinks();
  const std::unique_lock lock(all.mutex);
  const int id = g_next_id.fetch_add(1);
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
  return static_cast<int>(level) <= g_max_level.load(std::memory_order_relaxed);
}

void log_message(LogLevel level, std::string_view component, std::string message, std::string_view object,
                 std::string_view request_id) {
  if (!is_log_enabled(level) || t_is_logging) return;
  Sinks& all = sinks();
  const LogScope& scope = scope_of_thread();
  const auto or_scope = [](std::string_view given, const std::string& otherwise) {
    return given.empty() ? otherwise : std::string(given);
  };
  const LogRecord record{Timestamp::now(),
                         level,
                         std::string(component),
                         or_scope(scope.root, default_root()),
                         or_scope(object, scope.object),
                         or_scope(request_id, scope.request_id),
                         std::move(message),
                         all.pid};
  t_is_logging = true;
  const ScopeGuard over([] { t_is_logging = false; });
  const std::shared_lock lock(all.mutex);
  for (const Sink& sink : all.list) {
    if (level <= sink.level) sink.write(record);
  }
}

}  // namespace pouch
