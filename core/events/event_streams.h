#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "core/api/stream_pipe.h"
#include "core/base/executor.h"
#include "core/events/event_filter.h"
#include "core/events/event_log.h"

namespace pouch::events {

class Watcher;

/// The open streams of system.events. Thread-safe.
class EventStreams : public std::enable_shared_from_this<EventStreams> {
 public:
  EventStreams(store::Database& database, Watcher& watcher) : database_(database), watcher_(watcher) {}

  Result<StreamPtr> open(const api::SystemEventsOptions& options);
  int64_t count() const;
  /// Ends all streams with Closed; open() then answers Closed.
  void close();

 private:
  struct Subscription {
    std::shared_ptr<StreamPipe> pipe;
    EventFilter filter;
    Timestamp since;
    std::optional<Timestamp> until;
    Deadline expires;
    Follower follower;  // protected by mutex_

    bool wants(const Event& event) const;
    void send(const Event& event) const;
  };
  using SubscriptionPtr = std::shared_ptr<Subscription>;

  Result<int64_t> add(const SubscriptionPtr& subscription);
  void drop(int64_t id);
  void start_past(int64_t id, const SubscriptionPtr& subscription, int64_t after);
  void tell_past(int64_t id, const SubscriptionPtr& subscription, int64_t after);
  void follow(int64_t id, const SubscriptionPtr& subscription, int64_t after);

  store::Database& database_;
  Watcher& watcher_;
  mutable std::mutex mutex_;
  // Below protected by mutex_.
  std::map<int64_t, SubscriptionPtr> subscriptions_;
  int64_t next_id_ = 1;
  bool closed_ = false;
  std::unique_ptr<Executor> past_;
};

}  // namespace pouch::events
