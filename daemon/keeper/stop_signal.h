#pragma once

#include <functional>
#include <thread>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::keeper {

/// SIGTERM and SIGINT as a function call on a thread of its own, so that a worker that is told to stop ends
/// as an idle one does; and the death of the supervisor as another. Made before the process has other
/// threads, which inherit that both signals are blocked.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal() { end(); }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  /// Once. `stopped` runs on a signal; `orphaned` once `supervisor`, a socket, hangs up before. Neither runs
  /// any more when end() has returned.
  Status watch(std::function<void()> stopped, int supervisor, std::function<void()> orphaned);
  void end();

 private:
  UniqueFd signals_;
  UniqueFd ended_;
  std::thread waiter_;
};

}  // namespace pouch::keeper
