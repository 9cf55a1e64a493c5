#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/status.h"

namespace pouch {

/// Fired once, from any thread; observed by polling or by callbacks. Held by shared_ptr.
class CancelToken {
 public:
  using Callback = std::function<void()>;

  void fire();
  bool is_fired() const;
  /// Calls `callback` when fired, at once if it has been; it must be quick and take no lock of the caller.
  /// The returned id unregisters it; after remove() returns it neither runs nor will run.
  int add(Callback callback);
  void remove(int id);

 private:
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<std::pair<int, Callback>> callbacks_;
  int next_id_ = 1;
  bool fired_ = false;
  bool running_ = false;
};

using CancelPtr = std::shared_ptr<CancelToken>;

/// What travels with every engine call: how long its caller waits, how it gives up, and its name in the logs.
struct Call {
  Deadline deadline;
  CancelPtr cancel;  ///< may be null
  std::string request_id;
  std::string session =
      {};  ///< whatever the call makes ends with that session (system.session); "": it stays

  /// Cancelled or DeadlineExceeded when the caller no longer waits.
  Status check() const;
};

}  // namespace pouch
