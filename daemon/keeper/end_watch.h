#pragma once

#include <functional>
#include <thread>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::keeper {

/// What ends a worker: SIGTERM and SIGINT as a function call on a thread of its own, so that it then ends
/// as an idle one does; and the death of its supervisor as another. Made before the process has other
/// threads, which inherit that both signals are blocked.
class EndWatch {
 public:
  EndWatch();
  ~EndWatch() { end(); }
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;
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
