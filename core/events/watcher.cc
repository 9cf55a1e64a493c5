#include "core/events/watcher.h"

#include <algorithm>
#include <utility>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/events/event_rows.h"

namespace pouch::events {
namespace {

// The net for a writer that was killed between commit and bell. On a root where nothing happens it is cast
// more and more rarely: an idle process should sleep.
constexpr int64_t kPollMs = 1000;
constexpr int64_t kLongestPollMs = 4000;
constexpr int64_t kBatch = 500;  // rows

}  // namespace

bool Follower::State::enter() {
  const std::lock_guard lock(mutex);
  if (is_over) return false;
  caller = std::this_thread::get_id();
  return true;
}

void Follower::State::leave() {
  {
    const std::lock_guard lock(mutex);
    caller = {};
  }
  idle.notify_all();
}

void Follower::State::tell(const Event& event) {
  if (!enter()) return;
  on_event(event);
  leave();
}

void Follower::State::tell_expired() {
  if (!enter()) return;
  if (on_expired) on_expired();
  {
    const std::lock_guard lock(mutex);
    is_over = true;
  }
  leave();
}

bool Follower::State::is_cancelled() {
  const std::lock_guard lock(mutex);
  return is_over;
}

Follower& Follower::operator=(Follower&& other) noexcept {
  if (this == &other) return *this;
  cancel();
  state_ = std::move(other.state_);
  return *this;
}

void Follower::cancel() {
  if (!state_) return;
  const std::shared_ptr<State> state = std::move(state_);
  std::unique_lock lock(state->mutex);
  state->is_over = true;
  if (state->caller == std::this_thread::get_id()) return;
  state->idle.wait(lock, [&state] { return state->caller == std::thread::id(); });
  // What the callbacks captured is let go here, not when the watching thread comes round.
  const auto on_event = std::move(state->on_event);
  const auto on_expired = std::move(state->on_expired);
  lock.unlock();
}

void Watcher::add(std::shared_ptr<Follower::State> follower) {
  const int64_t position = follower->position;
  const bool has_end = !follower->expires.is_never();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    followers_.push_back(std::move(follower));
    if (!thread_.joinable()) {
      thread_ = start_thread([this] { run(); });
      return;  // its first look comes anyway
    }
  }
  // The thread may have heard of the events after `position` already and wait for the next, and does not know
  // of the new end.
  const auto missed = load_events(database_, position, 1);
  if (has_end || !missed.is_ok() || !missed->empty()) bell_.ring();
}

void Watcher::stop() {
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
  }
  if (!thread.joinable()) return;
  bell_.ring();
  thread.join();
}

Watcher::Followers Watcher::live_followers() {
  const std::lock_guard lock(mutex_);
  std::erase_if(followers_, [](const auto& follower) { return follower->is_cancelled(); });
  return stopping_ ? Followers() : followers_;
}

void Watcher::run() {
  int64_t pause = kPollMs;
  while (true) {
    const uint32_t seen = bell_.value();
    Deadline next;
    {
      const Followers followers = live_followers();
      pause = feed(followers) ? kPollMs : std::min(2 * pause, kLongestPollMs);
      next = Deadline::after_ms(pause).earlier(expire(followers));
    }
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    bell_.wait(seen, next);
  }
}

bool Watcher::feed(const Followers& followers) {
  if (followers.empty()) return false;
  bool has_news = false;
  const auto by_position = [](const auto& a, const auto& b) { return a->position < b->position; };
  while (true) {
    const auto last = (*std::min_element(followers.begin(), followers.end(), by_position))->position;
    const auto events = load_events(database_, last, kBatch);
    if (!events.is_ok()) {
      log_warning("events", "look for new events: " + events.status().message());
      return true;  // the poll tries again soon
    }
    has_news |= !events->empty();
    for (const Event& event : *events) {
      for (const auto& follower : followers) {
        if (event.seq <= follower->position) continue;
        follower->position = event.seq;
        follower->tell(event);
      }
    }
    if (std::cmp_less(events->size(), kBatch)) return has_news;
  }
}

Deadline Watcher::expire(const Followers& followers) {
  Deadline next;
  for (const auto& follower : followers) {
    if (follower->expires.has_passed()) {
      follower->tell_expired();
    } else {
      next = next.earlier(follower->expires);
    }
  }
  return next;
}

}  // namespace pouch::events
