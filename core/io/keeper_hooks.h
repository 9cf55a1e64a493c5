#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/io/stdio.h"

namespace pouch::io {

/// What the keeper offers to its hooks. Thread-safe.
class StreamControl {
 public:
  virtual ~StreamControl() = default;
  /// As KeeperClient::drain; `done` runs on the keeper's loop thread and must not block.
  virtual void drain(const std::string& stream_id, int64_t generation,
                     std::function<void(const DrainCounts&)> done) = 0;
};

/// What the keeper's worker needs of an engine. Everything is called on the loop's thread and must not block:
/// the container's output waits meanwhile. An implementation has a thread of its own.
class KeeperHooks {
 public:
  virtual ~KeeperHooks() = default;
  /// Before the first request is served, after streams of an earlier worker were adopted; `control` lives
  /// until stop() returned.
  virtual Status start(StreamControl& control) = 0;
  virtual void stop() = 0;
  /// The keeper has closed its end of the stream's stdin: tell the runtime (Tasks.CloseIO), which holds one
  /// too.
  virtual void close_stdin(const std::string& stream_id, const std::string& container_id,
                           int64_t generation) = 0;
  /// Serves names to the sandbox (a pin in <run_dir>/netns); `done` runs once, on any thread.
  virtual void serve_names(const std::string& sandbox, std::function<void(const Status&)> done) {
    const auto answer = std::move(done);
    answer(not_implemented("serve names to " + sandbox + ": this keeper has no engine"));
  }
  /// False keeps the keeper alive without streams and clients.
  virtual bool is_idle() const { return true; }
};

/// Holds read ends of FIFOs in a process that outlives the worker, so that what is in them is not lost when
/// the worker is killed and the writers leave before another one is there.
class FifoVault {
 public:
  virtual ~FifoVault() = default;
  virtual void hold(const std::string& stream_id, const std::vector<int>& fds) = 0;
  virtual void release(const std::string& stream_id) = 0;
};

}  // namespace pouch::io
