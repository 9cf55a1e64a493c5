#pragma once

#include <functional>
#include <string>

#include "core/base/status.h"

namespace pouch::keeper {

/// A worker's main: serves on the listening socket, answers its exit code; 0 ends the keeper.
using WorkerMain = std::function<int(int listener, int supervisor_pid)>;

/// Takes the run folder's lock and socket and keeps one worker process alive until it ends by itself with 0.
/// Ok at once when another keeper serves the folder. For a process with one thread; SIGTERM ends both.
Status supervise(const std::string& run_dir, const WorkerMain& worker_main);

}  // namespace pouch::keeper
