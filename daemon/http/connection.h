#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::http {

/// Set once; pollable. Told to everything that would otherwise wait for a client.
class StopSignal {
 public:
  StopSignal();
  void set();
  bool is_set() const { return set_.load(); }
  int fd() const { return event_.get(); }

 private:
  UniqueFd event_;
  std::atomic<bool> set_{false};
};

/// A client's socket (non-blocking) and the bytes that were read but not yet used. Used by one thread at a
/// time; waits by poll(2).
class Connection {
 public:
  Connection(UniqueFd fd, std::shared_ptr<StopSignal> stop) : fd_(std::move(fd)), stop_(std::move(stop)) {}

  int fd() const { return fd_.get(); }
  std::string& input() { return input_; }
  const StopSignal& stop() const { return *stop_; }

  /// Reads what is there into input(); waits for the first byte. False at the client's end of sending.
  /// DeadlineExceeded, Unavailable when the server stops, Closed when the connection broke.
  Result<bool> fill(Deadline deadline);
  /// Reads without waiting: bytes read, 0 at the end; nullopt-like -1 when nothing is there; Closed.
  Result<ssize_t> fill_now(size_t max = kReadBytes);
  /// Sends everything; the deadline begins anew with every byte taken.
  Status send_all(std::string_view data, int64_t stall_ms);
  /// How many bytes the socket took, maybe 0; Closed when the client is gone.
  Result<size_t> send_now(std::string_view data);
  /// Says that nothing more comes, and gives the client time to read what was sent.
  void linger(int64_t ms);

  /// A pidfd of the process that has connected; invalid where the kernel does not tell, as over TCP.
  UniqueFd peer_process() const;

  static constexpr size_t kReadBytes = size_t{64} << 10U;

 private:
  UniqueFd fd_;
  std::shared_ptr<StopSignal> stop_;
  std::string input_;
};

}  // namespace pouch::http
