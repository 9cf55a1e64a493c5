#include "core/engine/sessions.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "core/api/stream_pipe.h"
#include "core/api/system.gen.h"
#include "core/base/executor.h"
#include "core/base/text.h"
#include "core/container/background.h"
#include "core/engine/session_file.h"
#include "core/io/keeper_client.h"
#include "core/store/database.h"
#include "core/store/session_objects.h"
#include "core/sys/secure_dir.h"

namespace pouch {
namespace {

constexpr int64_t kStepMs = 10'000;
constexpr std::string_view kFeature = "sessions";

Call own_call() {
  Call call;
  call.deadline = Deadline::after_ms(kStepMs);
  return call;
}

// The keeper must be there, and know what is expected of it, before anything is made.
Status check_keeper(EngineContext& context) {
  POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(own_call()));
  POUCH_ASSIGN_OR_RETURN(const io::KeeperStatus status, keeper->status(own_call().deadline));
  for (const std::string& feature : split(status.features, ' ')) {
    if (feature == kFeature) return {};
  }
  return unavailable("the root's keeper (pid " + std::to_string(status.keeper_pid) + ", version " +
                     status.version +
                     ") knows no sessions; it ends by itself when no container runs and no older client "
                     "is left");
}

Status insert_row(EngineContext& context, const std::string& id) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, own_call()));
  POUCH_RETURN_IF_ERROR(
      transaction.run("INSERT INTO sessions(id, created_ns) VALUES(?, ?)", id, Timestamp::now()).status());
  return transaction.commit();
}

}  // namespace

struct Sessions::State {
  explicit State(EngineContext& engine) : context(engine) {}

  struct Open {
    std::unique_ptr<SessionFile> file;
    std::shared_ptr<StreamPipe> pipe;
  };

  EngineContext& context;
  container::Inflight inflight;
  std::mutex mutex;
  // Below protected by mutex.
  std::map<std::string, Open> open;
  bool closed = false;

  void end(const std::string& id) {
    Open ended;
    {
      const std::lock_guard lock(mutex);
      const auto at = open.find(id);
      if (at == open.end()) return;
      ended = std::move(at->second);
      open.erase(at);
    }
    ended.file.reset();
    ensure_keeper();
  }

  // Somebody may have killed it meanwhile.
  void ensure_keeper() {
    context.executor->submit(
        [this, held = inflight.enter()] { context.keeper(own_call()).status().ignore(); });
  }

  void close() {
    std::map<std::string, Open> all;
    {
      const std::lock_guard lock(mutex);
      closed = true;
      all.swap(open);
    }
    const bool had_any = !all.empty();
    for (auto& [id, session] : all) {
      session.file.reset();
      session.pipe->finish(Status(Code::kClosed, "the engine was closed"));
    }
    all.clear();
    if (had_any) ensure_keeper();
    inflight.wait_idle();
  }
};

Sessions::Sessions(EngineContext& context) : state_(std::make_shared<State>(context)) {}

Sessions::~Sessions() {
  state_->close();
}

Status Sessions::recover() {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, state_->context.db->read());
  POUCH_ASSIGN_OR_RETURN(const auto ids, store::all_sessions(snapshot));
  if (!ids.empty()) state_->ensure_keeper();
  return {};
}

Result<StreamPtr> Sessions::open(const Call& call) {
  const auto work = [state = state_, held = state_->inflight.enter()]() -> Result<StreamPtr> {
    EngineContext& context = state->context;
    const std::string folder = context.root_dir() + "/sessions";
    POUCH_RETURN_IF_ERROR(sys::secure_mkdir(folder).status());
    POUCH_RETURN_IF_ERROR(check_keeper(context));
    POUCH_ASSIGN_OR_RETURN(std::unique_ptr<SessionFile> file, SessionFile::create(folder));
    const std::string id = file->id();
    POUCH_RETURN_IF_ERROR(insert_row(context, id));
    const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
    StreamPtr stream = pipe->open();
    {
      const std::lock_guard lock(state->mutex);
      if (state->closed) return Status(Code::kClosed, "the engine was closed");
      state->open[id] = {std::move(file), pipe};
    }
    pipe->on_cancel([weak = std::weak_ptr<State>(state), id] {
      if (const auto alive = weak.lock()) alive->end(id);
    });
    POUCH_RETURN_IF_ERROR(pipe->push(Channel::kMessage, api::to_json_text(api::SessionMessage{id})));
    return stream;
  };
  Result<StreamPtr> stream = run_detached<Result<StreamPtr>>(*state_->context.executor, call, work);
  return stream.is_ok() ? std::move(stream) : Result<StreamPtr>(stream.status().prefix("open a session"));
}

}  // namespace pouch
