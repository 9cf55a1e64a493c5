#pragma once

#include <functional>
#include <thread>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::keeper {

/// SIGTERM and SIGINT as a function call on a thread of its own, so that a worker that is told to stop ends
/// as an idle one does. Made before the process has other threads, which inherit that both are blocked.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal() { end(); }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  /// Once. The callback does not run any more when end() has returned.
  Status on_stop(std::function<void()> callback);
  void end();

 private:
  UniqueFd signals_;
  UniqueFd ended_;
  std::thread waiter_;
};

}  // namespace pouch::keeper
