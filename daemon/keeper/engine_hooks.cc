#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/container/container_manager.h"
#include "core/ctrd/client.h"
#include "core/ctrd/tasks.h"
#include "core/dns/link.h"
#include "core/dns/message.h"
#include "core/engine/local_engine.h"
#include "core/network/network_manager.h"
#include "daemon/keeper/hooks.h"
#include "daemon/keeper/minder.h"
#include "daemon/keeper/name_service.h"

namespace pouch::keeper {
namespace {

constexpr int64_t kRetryMs = 1'000;
constexpr int64_t kCloseMs = 10'000;  // for Tasks.CloseIO
constexpr int64_t kLookupWaitMs = 2'000;
constexpr std::chrono::seconds kStopGrace{2};

// Made again when they are needed. Where the root was removed meanwhile, no row tells of them.
void take_down_networks(LocalEngine& engine) {
  const EngineContext& context = engine.context();
  const bool has_root = ::access((context.root_dir() + "/pouch.db").c_str(), F_OK) == 0;
  const Status done = has_root ? engine.networks().take_down_idle({Deadline::after_ms(kCloseMs), nullptr, {}})
                               : network::remove_remains(context.root_id, context.run_dir());
  if (!done.is_ok()) log_warning("keeper", "take the networks down: " + done.message());
}

/// Opens the root in the keeper's role, where its container manager records the exits of all containers, and
/// passes closed stdins on to the runtime. The engine lives on threads of its own, never on the loop's.
class EngineHooks final : public io::KeeperHooks {
 public:
  explicit EngineHooks(EngineOptions options)
      : options_(std::move(options)),
        names_(options_.run_dir + "/netns", [this](const dns::Lookup& lookup) { return look_up(lookup); }) {}
  ~EngineHooks() override { stop(); }
  EngineHooks(const EngineHooks&) = delete;
  EngineHooks& operator=(const EngineHooks&) = delete;

  Status start(io::StreamControl&) override {
    POUCH_RETURN_IF_ERROR(names_.start());
    // The manager drains through the socket as any client does: the loop serves it like them.
    opener_ = start_thread([this, opening = opening_, options = options_] {
      if (const auto engine = open_engine(*opening, options)) serve_all(*opening, *engine);
    });
    return {};
  }

  void stop() override;

  void close_stdin(const std::string& stream_id, const std::string& container_id, int64_t) override {
    closers_.submit([this, stream_id, container_id] { pass_close(stream_id, container_id); });
  }

  void serve_names(const std::string& sandbox, std::function<void(const Status&)> done) override {
    names_.serve(sandbox, std::move(done));
  }

  // While containers run somebody must see them end, also when their output is closed already; and sessions,
  // too.
  bool is_idle() const override {
    const std::lock_guard lock(opening_->mutex);
    const auto& engine = opening_->engine;
    if (!engine) return true;  // nothing can be done without; the next client starts a keeper again
    const auto counts = engine->containers().counts();
    return (!counts.is_ok() || counts->running + counts->paused == 0) && !engine->has_sessions();
  }

 private:
  /// The opener's alone may be left behind by stop(), and by the hooks: the process ends then.
  struct Opening {
    std::mutex mutex;
    std::condition_variable changed;
    // Below protected by mutex.
    std::shared_ptr<LocalEngine> engine;
    bool is_stopping = false;
  };

  /// Null when it is to stop.
  static std::shared_ptr<LocalEngine> open_engine(Opening& opening, const EngineOptions& options);
  std::shared_ptr<LocalEngine> wait_engine();
  Status close_once(const std::string& stream_id, const std::string& container_id);
  void pass_close(const std::string& stream_id, const std::string& container_id);
  void serve_all(Opening& opening, LocalEngine& engine);
  Result<dns::LookupAnswer> look_up(const dns::Lookup& lookup);

  const EngineOptions options_;
  const std::shared_ptr<Opening> opening_ = std::make_shared<Opening>();
  std::thread opener_;
  Executor closers_;
  NameService names_;  // its directory uses all of the above
};

// Those that a worker which died has served.
void EngineHooks::serve_all(Opening& opening, LocalEngine& engine) {
  const auto sandboxes = engine.networks().sandboxes_with_names();
  if (!sandboxes.is_ok()) return log_error("names", sandboxes.status().message());
  const std::lock_guard lock(opening.mutex);
  if (opening.is_stopping) return;  // names_ may be gone
  for (const std::string& sandbox : *sandboxes) {
    names_.serve(sandbox, [](const Status& served) {
      // Its namespace is not there yet, and its start will ask for it.
      if (served.is_ok() || served.code() == Code::kNotFound) return;
      log_error("names", served.message());
    });
  }
}

// On the thread of names_. A container may ask before the engine is open; not for long: its opening may
// itself want a sandbox served.
Result<dns::LookupAnswer> EngineHooks::look_up(const dns::Lookup& lookup) {
  std::shared_ptr<LocalEngine> engine;
  {
    std::unique_lock lock(opening_->mutex);
    opening_->changed.wait_for(lock, std::chrono::milliseconds(kLookupWaitMs),
                               [this] { return opening_->engine != nullptr || opening_->is_stopping; });
    engine = opening_->engine;
  }
  if (!engine) return unavailable("the engine is not open yet");
  network::NameQuestion question{lookup.sandbox, lookup.name, lookup.address, lookup.type != dns::kTypeMx};
  POUCH_ASSIGN_OR_RETURN(network::NameAnswer answer, engine->networks().look_up(question));
  using Kind = network::NameAnswer::Kind;
  dns::LookupAnswer out{dns::AnswerKind::kFailed, std::move(answer.items)};
  if (answer.kind == Kind::kKnown) out.kind = dns::AnswerKind::kKnown;
  if (answer.kind == Kind::kForward) out.kind = dns::AnswerKind::kForward;
  return out;
}

std::shared_ptr<LocalEngine> EngineHooks::open_engine(Opening& opening, const EngineOptions& options) {
  std::string last_error;
  while (true) {
    // A root that was removed meanwhile is not to be made anew.
    auto engine = ::access((options.root_dir + "/pouch.db").c_str(), F_OK) == 0
                      ? LocalEngine::open(options)
                      : Result<std::unique_ptr<LocalEngine>>(not_found("the root has no database"));
    std::unique_lock lock(opening.mutex);
    if (engine.is_ok() && !opening.is_stopping) {
      opening.engine = std::move(*engine);
      set_default_log_root(opening.engine->context().root_id);
      opening.changed.notify_all();
      return opening.engine;
    }
    if (!engine.is_ok() && engine.status().message() != last_error) {
      last_error = engine.status().message();
      log_error("keeper", last_error + "; tried again every second");
    }
    opening.changed.wait_for(lock, std::chrono::milliseconds(kRetryMs),
                             [&opening] { return opening.is_stopping; });
    if (opening.is_stopping) return nullptr;
  }
}

std::shared_ptr<LocalEngine> EngineHooks::wait_engine() {
  std::unique_lock lock(opening_->mutex);
  opening_->changed.wait(lock, [this] { return opening_->engine != nullptr || opening_->is_stopping; });
  return opening_->engine;
}

Status EngineHooks::close_once(const std::string& stream_id, const std::string& container_id) {
  const auto engine = wait_engine();
  if (!engine) return {};
  const Call call{Deadline::after_ms(kCloseMs), nullptr, {}};
  POUCH_ASSIGN_OR_RETURN(const auto client, engine->context().ctrd(call));
  // The stream of a first process has its container's id, that of an exec its own.
  const ExecId exec(stream_id == container_id ? std::string() : stream_id);
  const Status closed = client->tasks().close_io(call, ContainerId(container_id), exec);
  // It has ended meanwhile, and its input with it.
  return closed.code() == Code::kNotFound ? Status() : closed;
}

// A process that waits for the end of its input would wait for ever: tried again until it has ended.
void EngineHooks::pass_close(const std::string& stream_id, const std::string& container_id) {
  std::string last_error;
  while (true) {
    const Status closed = close_once(stream_id, container_id);
    if (closed.is_ok()) return;
    if (closed.message() != last_error) {
      last_error = closed.message();
      log_warning("keeper", "close the input: " + last_error + "; tried again every second", container_id);
    }
    std::unique_lock lock(opening_->mutex);
    opening_->changed.wait_for(lock, std::chrono::milliseconds(kRetryMs),
                               [this] { return opening_->is_stopping; });
    if (opening_->is_stopping) return;
  }
}

void EngineHooks::stop() {
  std::shared_ptr<LocalEngine> engine;
  {
    const std::lock_guard lock(opening_->mutex);
    opening_->is_stopping = true;
    engine = std::move(opening_->engine);
  }
  opening_->changed.notify_all();
  names_.stop();
  closers_.stop();
  if (!opener_.joinable()) return;
  // Work under way, the opening itself too, may wait for the loop, which no longer runs. What is half-done
  // then is recovered by the next engine, as after a kill; the process ends now.
  struct Ending {
    std::mutex mutex;
    std::condition_variable done;
    bool is_done = false;
    std::thread opener;
  };
  const auto ending = std::make_shared<Ending>();
  ending->opener = std::move(opener_);
  std::thread ender = start_thread([ending, engine = std::move(engine)]() mutable {
    ending->opener.join();
    if (engine) take_down_networks(*engine);
    engine.reset();
    const std::lock_guard lock(ending->mutex);
    ending->is_done = true;
    ending->done.notify_all();
  });
  std::unique_lock lock(ending->mutex);
  const bool ended = ending->done.wait_for(lock, kStopGrace, [&ending] { return ending->is_done; });
  lock.unlock();
  if (ended) {
    ender.join();
  } else {
    ender.detach();
  }
}

}  // namespace

Result<std::unique_ptr<io::KeeperHooks>> make_keeper_hooks(const KeeperConfig& config) {
  if (config.root_dir.empty()) return std::unique_ptr<io::KeeperHooks>();
  EngineOptions options;
  options.root_dir = config.root_dir;
  options.run_dir = config.run_dir;
  options.role = EngineRole::kKeeper;
  return std::unique_ptr<io::KeeperHooks>(new EngineHooks(std::move(options)));
}

Status mind(const KeeperConfig& config) {
  if (config.root_dir.empty()) return invalid_argument("--root is needed");
  return mind_containerd({config.containerd_program, config.root_dir, config.run_dir, config.cgroup});
}

}  // namespace pouch::keeper
