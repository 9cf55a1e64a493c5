#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "daemon/keeper/succession.h"

namespace pouch::keeper {

/// What a worker is given by its supervisor.
struct WorkerPlace {
  int lock = -1;
  int listener = -1;
  int vault_socket = -1;  ///< for VaultClient; hangs up when the supervisor has died
  int supervisor_pid = 0;
  std::vector<std::pair<std::string, int>> inherited;  ///< what the worker before it had left in the vault
};

/// A worker's main: serves on the listening socket, answers its exit code; 0 ends the keeper.
using WorkerMain = std::function<int(const WorkerPlace& place)>;

/// Takes the run folder's lock and socket and keeps one worker process alive until it ends by itself with 0.
/// Ok at once when another keeper serves the folder. For a process with one thread; SIGTERM ends both.
/// Both run in the control group `cgroup`/keeper, which goes with the last of them ("": where they are).
/// `estate`: of the supervisor before, whose worker this process has been; it has lock and socket already.
Status supervise(const std::string& run_dir, const std::string& cgroup, const WorkerMain& worker_main,
                 const std::optional<Estate>& estate = std::nullopt);

}  // namespace pouch::keeper
