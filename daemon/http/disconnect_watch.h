#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <thread>

#include "core/base/cancel.h"
#include "core/base/unique_fd.h"

namespace pouch::http {

/// Fires a call's token when its client hangs up while the engine works. One thread for all. Thread-safe.
class DisconnectWatch {
 public:
  DisconnectWatch();
  ~DisconnectWatch();
  DisconnectWatch(const DisconnectWatch&) = delete;
  DisconnectWatch& operator=(const DisconnectWatch&) = delete;

  enum class Kind {
    kClient,       ///< a socket; a client that only ends its sending has gone, too
    kHalfClosing,  ///< a socket whose client may end its sending before
    kProcess,      ///< a pidfd
  };

  /// Watches while it lives; the descriptor must stay open for that long.
  class Guard {
   public:
    Guard(DisconnectWatch& watch, int fd, CancelPtr token, Kind kind = Kind::kClient);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    DisconnectWatch& watch_;
    const int fd_;
    const uint64_t id_;
  };

  /// Fires all tokens: the server gives up waiting.
  void fire_all();

 private:
  uint64_t add(int fd, CancelPtr token, Kind kind);
  void remove(int fd, uint64_t id);
  void run();

  UniqueFd epoll_;
  UniqueFd wake_;
  std::mutex mutex_;
  uint64_t next_id_ = 1;                 // protected by mutex_; 0 is the wake-up event
  std::map<uint64_t, CancelPtr> calls_;  // protected by mutex_
  std::thread thread_;
};

}  // namespace pouch::http
