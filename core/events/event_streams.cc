#include "core/events/event_streams.h"

#include <utility>

#include "core/api/codec.h"
#include "core/events/event_rows.h"
#include "core/events/watcher.h"

namespace pouch::events {
namespace {

constexpr int64_t kBatch = 500;  // rows

Deadline expiry(const std::optional<Timestamp>& until) {
  if (!until) return {};
  const int64_t left_ns = until->ns - Timestamp::now().ns;
  return Deadline::at_boot_ns(boot_now_ns() + left_ns);
}

Status check_period(const api::SystemEventsOptions& options) {
  if (!options.since || !options.until || *options.since <= *options.until) return {};
  return invalid_argument("`since` time (" + options.since->to_unix_decimal() +
                          ") cannot be after `until` time (" + options.until->to_unix_decimal() + ")");
}

}  // namespace

bool EventStreams::Subscription::wants(const Event& event) const {
  if (event.time < since) return false;
  if (until && event.time > *until) return false;
  return filter.matches(event);
}

void EventStreams::Subscription::send(const Event& event) const {
  if (!wants(event)) return;
  pipe->push(Channel::kMessage, api::to_json_text(to_message(event))).ignore();  // a reader gone is dropped
}

Result<StreamPtr> EventStreams::open(const api::SystemEventsOptions& options) {
  POUCH_RETURN_IF_ERROR(check_period(options));
  POUCH_ASSIGN_OR_RETURN(EventFilter filter, EventFilter::make(options.filters));
  auto subscription = std::make_shared<Subscription>(
      Subscription{std::make_shared<StreamPipe>(QueuePolicy::kDrop), std::move(filter),
                   options.since.value_or(Timestamp()), options.until, expiry(options.until), Follower()});
  int64_t after = 0;
  if (options.since) {
    POUCH_ASSIGN_OR_RETURN(after, seq_before(database_, *options.since));
  } else {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, database_.read());
    POUCH_ASSIGN_OR_RETURN(after, EventLog::last_seq(snapshot));
  }
  POUCH_ASSIGN_OR_RETURN(const int64_t id, add(subscription));
  StreamPtr stream = subscription->pipe->open();
  subscription->pipe->on_cancel([weak = weak_from_this(), id] {
    if (const auto self = weak.lock()) self->drop(id);
  });
  if (options.since) {
    start_past(id, subscription, after);
  } else {
    follow(id, subscription, after);
  }
  return stream;
}

Result<int64_t> EventStreams::add(const SubscriptionPtr& subscription) {
  const std::lock_guard lock(mutex_);
  if (closed_) return Status(Code::kClosed, "events: the engine was closed");
  subscriptions_.emplace(next_id_, subscription);
  return next_id_++;
}

void EventStreams::drop(int64_t id) {
  Follower follower;  // ended outside the lock: it may wait for its callback
  {
    const std::lock_guard lock(mutex_);
    const auto at = subscriptions_.find(id);
    if (at == subscriptions_.end()) return;
    follower = std::move(at->second->follower);
    subscriptions_.erase(at);
  }
}

// The past may be larger than the queue, so it is told at the reader's pace, on a thread.
void EventStreams::start_past(int64_t id, const SubscriptionPtr& subscription, int64_t after) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  if (!past_) past_ = std::make_unique<Executor>();
  past_->submit([this, id, subscription, after] { tell_past(id, subscription, after); });
}

void EventStreams::tell_past(int64_t id, const SubscriptionPtr& subscription, int64_t after) {
  const StreamPipe& pipe = *subscription->pipe;
  while (!pipe.is_abandoned()) {
    const auto events = load_events(database_, after, kBatch);
    if (!events.is_ok()) {
      drop(id);
      return subscription->pipe->finish(events.status());
    }
    for (const Event& event : *events) {
      after = event.seq;
      if (!subscription->wants(event)) continue;
      if (!subscription->pipe->wait_for_room(Deadline::never()).is_ok()) return;
      subscription->send(event);
    }
    if (std::cmp_less(events->size(), kBatch)) return follow(id, subscription, after);
  }
}

void EventStreams::follow(int64_t id, const SubscriptionPtr& subscription, int64_t after) {
  auto state = std::make_shared<Follower::State>();
  state->position = after;
  state->expires = subscription->expires;
  state->on_event = [subscription](const Event& event) { subscription->send(event); };
  state->on_expired = [weak = weak_from_this(), subscription, id] {
    if (const auto self = weak.lock()) self->drop(id);
    subscription->pipe->finish(std::string());
  };
  {
    const std::lock_guard lock(mutex_);
    if (!subscriptions_.contains(id)) return;
    subscription->follower = Follower(state);
  }
  watcher_.add(std::move(state));
}

int64_t EventStreams::count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(subscriptions_.size());
}

void EventStreams::close() {
  std::unique_ptr<Executor> past;  // its end waits for the jobs, which end with their pipes
  std::map<int64_t, SubscriptionPtr> subscriptions;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    past = std::move(past_);
    subscriptions.swap(subscriptions_);
  }
  for (const auto& [id, subscription] : subscriptions) {
    subscription->pipe->finish(Status(Code::kClosed, "events: the engine was closed"));
    Follower follower;
    const std::lock_guard lock(mutex_);
    follower = std::move(subscription->follower);
  }
}

}  // namespace pouch::events
