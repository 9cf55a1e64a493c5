#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/api/stream.h"
#include "core/api/system.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/events/event.h"
#include "core/store/database.h"

namespace pouch::events {

/// One running follow(). Destroying or cancelling it ends it: after either returns the callback neither runs
/// nor will run (from within the callback they return at once). Hold no lock that the callback takes.
class Follower {
 public:
  struct State;
  Follower() = default;
  explicit Follower(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~Follower() { cancel(); }
  Follower(Follower&&) noexcept = default;
  Follower& operator=(Follower&& other) noexcept;
  void cancel();

 private:
  std::shared_ptr<State> state_;
};

/// The events of a root: rows with a gapless number, written with the change that they tell. All processes of
/// the root see them: a writer rings the bell after its commit; one thread per process waits for it (and
/// looks every few seconds besides) and feeds this process's followers. The newest kKept events are kept.
/// Thread-safe.
class EventLog {
 public:
  static constexpr int64_t kKept = 10'000;

  /// `bell_path` is <run dir>/bell. Starts no thread yet. `database` must outlive the log.
  static Result<std::unique_ptr<EventLog>> open(store::Database& database, const std::string& bell_path);
  /// Ends followers and streams: no callback runs afterwards, open streams end with Closed.
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// Adds an event to the transaction of its change; returns its number. The bell rings when the transaction
  /// has committed.
  Result<int64_t> append(store::Transaction& transaction, Event event);
  /// The number of the newest event, as the session sees it; 0 when there is none. Read it in the snapshot in
  /// which an object's state was read, then follow from there: nothing is missed and nothing seen twice.
  static Result<int64_t> last_seq(store::Session& session);
  Result<int64_t> last_seq();

  /// Calls `callback` for every event numbered above `after_seq`, in order, one at a time, on the watching
  /// thread: it must be quick and must not block. It may cancel any follower.
  Follower follow(int64_t after_seq, std::function<void(const Event&)> callback);
  /// Blocks until `wanted` is true for an event above `after_seq` (called as by follow()); its number. Or the
  /// call's deadline or cancellation.
  Result<int64_t> wait_for(int64_t after_seq, const Call& call, std::function<bool(const Event&)> wanted);
  /// Blocks until there is any event above `after_seq`; the newest number.
  Result<int64_t> wait_for_change(int64_t after_seq, const Call& call);

  /// system.events: past ones from `since` on, then new ones, until `until`; Moby's filters.
  Result<StreamPtr> subscribe(const api::SystemEventsOptions& options, const Call& call);
  /// Open streams of this process, for info's NEventsListener.
  int64_t subscribers() const;

 private:
  struct Impl;
  explicit EventLog(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

/// The event as Moby sends it.
api::EventMessage to_message(const Event& event);

}  // namespace pouch::events
