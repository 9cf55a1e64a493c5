#include <algorithm>
#include <chrono>

#include "core/api/codec.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_state.h"

namespace pouch {

using mock::Container;
using mock::State;

namespace {

// Sleeps until something happened; false when the engine closes or nobody listens.
bool wait_change(std::unique_lock<std::mutex>& lock, State& state, const StreamPipe& pipe) {
  state.changed.wait_for(lock, std::chrono::milliseconds(100));
  return !state.closing && !pipe.is_abandoned();
}

std::string wait_result(int exit_code) {
  return "{\"StatusCode\":" + std::to_string(exit_code) + "}";
}

void follow_wait(State& state, const std::shared_ptr<Container>& container,
                 const std::shared_ptr<StreamPipe>& pipe, const std::string& condition, uint64_t generation) {
  std::unique_lock lock(state.mutex);
  const auto done = [&] {
    if (condition == "removed") return container->removed;
    if (condition == "next-exit") {
      return container->removed || (container->generation > generation && !container->main.running);
    }
    return !container->main.running;
  };
  while (!done()) {
    if (!wait_change(lock, state, *pipe)) {
      pipe->finish(Status(Code::kClosed, "the engine was closed"));
      return;
    }
  }
  const std::string result = wait_result(container->main.exit_code);
  lock.unlock();
  pipe->push(Channel::kMessage, result).ignore();
  pipe->finish(result);
}

struct LogQuery {
  api::ContainerLogsOptions options;
  int64_t tail = -1;

  bool wants(const mock::LogRecord& record) const {
    const bool channel =
        record.channel == Channel::kStdout ? options.stdout.value_or(false) : options.stderr.value_or(false);
    if (!channel) return false;
    if (options.since && record.time < *options.since) return false;
    return !options.until || options.until->is_zero() || record.time <= *options.until;
  }
  std::string text(const mock::LogRecord& record) const {
    return options.timestamps.value_or(false) ? record.time.to_rfc3339() + " " + record.bytes : record.bytes;
  }
};

std::string name_of(const api::EventMessage& event) {
  const auto at = event.actor.attributes->find("name");
  return at == event.actor.attributes->end() ? std::string() : at->second;
}

// Index of the first record to show.
size_t first_of_tail(const std::vector<mock::LogRecord>& logs, const LogQuery& query) {
  if (query.tail < 0) return 0;
  int64_t left = query.tail;
  size_t at = logs.size();
  while (at > 0 && left > 0) {
    --at;
    if (query.wants(logs[at])) --left;
  }
  return at;
}

void follow_logs(State& state, const std::shared_ptr<Container>& container,
                 const std::shared_ptr<StreamPipe>& pipe, const LogQuery& query) {
  std::unique_lock lock(state.mutex);
  size_t at = first_of_tail(container->logs, query);
  while (true) {
    while (at < container->logs.size()) {
      const mock::LogRecord record = container->logs[at++];
      if (!query.wants(record)) continue;
      lock.unlock();
      if (!pipe->push(record.channel, query.text(record)).is_ok()) return;
      lock.lock();
    }
    const bool alive = container->main.running && !container->removed;
    if (!query.options.follow.value_or(false) || !alive) break;
    if (!wait_change(lock, state, *pipe)) break;
  }
  lock.unlock();
  pipe->finish(std::string());
}

}  // namespace

Result<StreamPtr> MockEngine::container_wait(const std::string& id, const api::ContainerWaitOptions& options,
                                             const Call& /*call*/) {
  const std::string condition = options.condition.value_or("not-running");
  if (condition != "not-running" && condition != "next-exit" && condition != "removed") {
    return invalid_argument("invalid condition: " + quote(condition));
  }
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const auto container, state_->find_container(id));
  // A wait for the next exit of one that runs is for the exit of this start.
  const uint64_t generation = container->generation - (container->main.running ? 1 : 0);
  executor_.submit([state = state_, container, pipe, condition, generation] {
    follow_wait(*state, container, pipe, condition, generation);
  });
  return pipe->open();
}

Result<StreamPtr> MockEngine::container_logs(const std::string& id, const api::ContainerLogsOptions& options,
                                             const Call& /*call*/) {
  if (!options.stdout.value_or(false) && !options.stderr.value_or(false)) {
    return invalid_argument("Bad parameters: you must choose at least one stream");
  }
  const LogQuery query{options, leading_number(options.tail.value_or("all"), int64_t{-1})};
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const auto container, state_->find_container(id));
  executor_.submit([state = state_, container, pipe, query] { follow_logs(*state, container, pipe, query); });
  return pipe->open();
}

Result<StreamPtr> MockEngine::container_attach(const std::string& id,
                                               const api::ContainerAttachOptions& options,
                                               const Call& /*call*/) {
  POUCH_ASSIGN_OR_RETURN(std::string keys, parse_detach_keys(options.detach_keys.value_or("")));
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const auto container, state_->find_container(id));
  StreamPtr stream = pipe->open();
  if (options.logs.value_or(false)) {
    for (const mock::LogRecord& record : container->logs) {
      const bool wanted = record.channel == Channel::kStdout ? options.stdout.value_or(false)
                                                             : options.stderr.value_or(false);
      if (wanted) pipe->push(record.channel, record.bytes).ignore();
    }
  }
  if (!options.stream.value_or(false)) {
    pipe->finish(std::string("{}"));
    return stream;
  }
  container->main.attached.push_back({pipe, options.stdout.value_or(false), options.stderr.value_or(false)});
  state_->add_container_event(*container, "attach");
  const bool terminal = container->config.tty.value_or(false);
  if (terminal) {
    pipe->on_resize([state = state_, weak = std::weak_ptr(container)](uint32_t rows, uint32_t columns) {
      const auto alive = weak.lock();
      return alive ? state->resize(alive->main, rows, columns, "Container " + alive->id)
                   : conflict("the container is gone");
    });
  }
  if (!options.stdin.value_or(false) || !container->config.open_stdin.value_or(false)) return stream;
  const bool close_at_end = container->config.stdin_once.value_or(false) && !terminal;
  mock::Input input{pipe, container, container->main, close_at_end, std::nullopt, nullptr};
  if (terminal) input.keys.emplace(std::move(keys));
  input.on_detach = [state = state_, container] {
    state->add_container_event(*container, "detach");
    return std::string("{\"Detached\":true}");
  };
  pump_stdin(std::move(input));
  return stream;
}

Result<StreamPtr> MockEngine::system_events(const api::SystemEventsOptions& options, const Call& /*call*/) {
  for (const auto& [key, values] :
       options.filters.value_or(std::map<std::string, std::vector<std::string>>{})) {
    if (key != "type" && key != "event" && key != "container") {
      return invalid_argument("invalid filter '" + key + "'");
    }
  }
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kDrop);
  size_t start = 0;
  {
    const std::lock_guard lock(state_->mutex);
    if (!options.since) start = state_->events.size();
  }
  executor_.submit([state = state_, pipe, options, start] {
    const auto wants = [&](const api::EventMessage& event) {
      if (options.since && event.time_nano < options.since->ns) return false;
      if (options.until && event.time_nano > options.until->ns) return false;
      for (const auto& [key, values] :
           options.filters.value_or(std::map<std::string, std::vector<std::string>>{})) {
        const auto is = [&values = values](const std::string& text) {
          return std::find(values.begin(), values.end(), text) != values.end();
        };
        const bool matches = key == "type"    ? is(event.type)
                             : key == "event" ? is(event.action)
                                              : is(event.actor.id) || is(name_of(event));
        if (!matches) return false;
      }
      return true;
    };
    std::unique_lock lock(state->mutex);
    size_t at = start;
    while (true) {
      for (; at < state->events.size(); ++at) {
        const api::EventMessage event = state->events[at];
        if (wants(event)) pipe->push(Channel::kMessage, api::to_json_text(event)).ignore();
      }
      if (options.until && Timestamp::now() >= *options.until) break;
      if (!wait_change(lock, *state, *pipe)) break;
    }
    pipe->finish(std::string());
  });
  return pipe->open();
}

}  // namespace pouch
