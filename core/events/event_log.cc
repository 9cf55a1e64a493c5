#include "core/events/event_log.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "core/base/executor.h"
#include "core/events/event_rows.h"
#include "core/events/event_streams.h"
#include "core/events/watcher.h"
#include "core/sys/bell.h"

namespace pouch::events {

struct EventLog::Impl {
  Impl(store::Database& db, sys::Bell opened)
      : database(db),
        bell(std::move(opened)),
        watcher(db, bell),
        streams(std::make_shared<EventStreams>(db, watcher)) {}

  store::Database& database;
  sys::Bell bell;
  Watcher watcher;
  std::shared_ptr<EventStreams> streams;
};

EventLog::EventLog(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

EventLog::~EventLog() {
  impl_->streams->close();
  impl_->watcher.stop();
}

Result<std::unique_ptr<EventLog>> EventLog::open(store::Database& database, const std::string& bell_path) {
  POUCH_ASSIGN_OR_RETURN(sys::Bell bell, sys::Bell::open(bell_path));
  return std::unique_ptr<EventLog>(new EventLog(std::make_shared<Impl>(database, std::move(bell))));
}

Result<int64_t> EventLog::append(store::Transaction& transaction, Event event) {
  if (event.time.is_zero()) event.time = Timestamp::now();
  POUCH_ASSIGN_OR_RETURN(const int64_t seq, insert_event(transaction, event, kKept));
  transaction.on_commit([impl = impl_] { impl->bell.ring(); });
  return seq;
}

Result<int64_t> EventLog::last_seq(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(store::Statement select, session.prepare("SELECT coalesce(max(seq),0) FROM events"));
  POUCH_RETURN_IF_ERROR(select.step().status());
  return select.integer(0);
}

Result<int64_t> EventLog::last_seq() {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, impl_->database.read());
  return last_seq(snapshot);
}

Follower EventLog::follow(int64_t after_seq, std::function<void(const Event&)> callback) {
  auto state = std::make_shared<Follower::State>();
  state->position = after_seq;
  state->on_event = std::move(callback);
  impl_->watcher.add(state);
  return Follower(std::move(state));
}

Result<int64_t> EventLog::wait_for(int64_t after_seq, const Call& call,
                                   std::function<bool(const Event&)> wanted) {
  struct Found {
    std::mutex mutex;
    std::condition_variable changed;
    int64_t seq = 0;
  };
  POUCH_RETURN_IF_ERROR(call.check());
  const auto found = std::make_shared<Found>();
  const Follower follower = follow(after_seq, [found, wanted = std::move(wanted)](const Event& event) {
    const std::lock_guard lock(found->mutex);
    if (found->seq != 0 || !wanted(event)) return;
    found->seq = event.seq;
    found->changed.notify_all();
  });
  std::unique_lock lock(found->mutex);
  POUCH_RETURN_IF_ERROR(pouch::wait_for(lock, found->changed, call, [&found] { return found->seq != 0; }));
  return found->seq;
}

Result<int64_t> EventLog::wait_for_change(int64_t after_seq, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const int64_t last, last_seq());
  if (last > after_seq) return last;
  return wait_for(after_seq, call, [](const Event&) { return true; });
}

Result<StreamPtr> EventLog::subscribe(const api::SystemEventsOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  return impl_->streams->open(options);
}

int64_t EventLog::subscribers() const {
  return impl_->streams->count();
}

api::EventMessage to_message(const Event& event) {
  api::EventMessage message;
  message.type = event.type;
  message.action = event.action;
  message.actor.id = event.actor_id;
  message.actor.attributes = event.attributes;
  message.scope = event.scope;
  message.time = event.time.ns / 1'000'000'000;
  message.time_nano = event.time.ns;
  // Older clients read these three, which Moby sends for containers and images alone.
  if (event.type == "container" || event.type == "image") {
    message.status = event.action;
    message.id = event.actor_id;
  }
  if (event.type == "container") {
    if (const auto image = event.attributes.find("image"); image != event.attributes.end()) {
      message.from = image->second;
    }
  }
  return message;
}

}  // namespace pouch::events
