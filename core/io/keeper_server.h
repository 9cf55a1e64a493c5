#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/io/keeper_hooks.h"

namespace pouch::io {

struct KeeperServerOptions {
  std::string run_dir;  ///< exists, 0700
  UniqueFd listener;    ///< see listen_in()
  int64_t idle_exit_ms =
      10'000;  ///< run() ends that long after the last stream and client are gone; -1: never
  int64_t drain_grace_ms = 2000;    ///< what drain() waits for the end of file while nothing comes
  int64_t return_grace_ms = 2000;   ///< what a stream waits for attached clients of a worker that died
  size_t max_unsent = 1024 * 1024;  ///< bytes waiting for an attached client, before its stream is paused
  int64_t max_stall_ms = 5000;      ///< after so long without progress such a client is ended with kLagged
  int64_t max_linger_ms = 600'000;  ///< as long it may stand still at the rest of a stream that has ended
  int keeper_pid = 0;               ///< the supervisor's, for status
  KeeperHooks* hooks = nullptr;     ///< may be null; outlives the server
  FifoVault* vault = nullptr;       ///< likewise
  std::vector<std::pair<std::string, int>> inherited;  ///< what an earlier worker had left in the vault
};

/// The worker's work: stdio, logs and attach for all containers of a root, on the one thread that calls
/// run().
class KeeperServer : public StreamControl {
 public:
  /// Adopts what an earlier worker left in the run folder.
  static Result<std::unique_ptr<KeeperServer>> create(KeeperServerOptions options);
  ~KeeperServer() override;

  /// Until idle for long enough, asked to shut down, or stop().
  Status run();
  void stop();  ///< from any thread; streams stay on disk to be adopted
  void drain(const std::string& stream_id, int64_t generation,
             std::function<void(const DrainCounts&)> done) override;

 private:
  struct Impl;
  explicit KeeperServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The keeper's socket in `run_dir`, listening, close-on-exec, mode 0600; whatever was there is replaced.
/// Paths longer than a socket address are fine.
Result<UniqueFd> listen_in(const std::string& run_dir);
/// A connection to it. Unavailable when nobody listens.
Result<UniqueFd> connect_to(const std::string& run_dir);

inline constexpr char kKeeperSocket[] = "keeper.sock";
inline constexpr char kKeeperLock[] = "keeper.pid";

}  // namespace pouch::io
