#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "core/base/status.h"
#include "core/store/engine_context.h"
#include "core/sys/event_loop.h"

namespace pouch {

/// In an engine that uses the root's keeper: sees it end. A keeper of which one process dies goes on by
/// itself; one whose processes were killed at once is replaced from here while containers or sessions need
/// one, so that their logs, names and ports do not wait until somebody asks the engine for something.
/// Sleeps while nothing happens. Thread-safe.
class KeeperWatch {
 public:
  /// The context must outlive it.
  static Result<std::unique_ptr<KeeperWatch>> create(EngineContext& context);
  ~KeeperWatch();  ///< waits for a launch that is under way
  KeeperWatch(const KeeperWatch&) = delete;
  KeeperWatch& operator=(const KeeperWatch&) = delete;

  /// There is a keeper: from soon on it is watched, if it is not yet.
  void begin();

 private:
  KeeperWatch(EngineContext& context, sys::EventFd stop) : context_(context), stop_(std::move(stop)) {}
  bool wait_for_use();
  void follow();
  bool was_killed() const;
  bool is_needed() const;
  bool replace() const;
  bool pause(int64_t ms) const;

  EngineContext& context_;
  sys::EventFd stop_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // Below protected by mutex_.
  bool is_used_ = false;  // since follow() began last
  bool is_closed_ = false;
  std::thread thread_;  // from the first use on
};

}  // namespace pouch
