#pragma once

#include <string>

#include "core/base/status.h"

namespace pouch::keeper {

struct MinderConfig {
  std::string program;  ///< containerd
  std::string root_dir;
  std::string run_dir;
  std::string cgroup;  ///< to run in; "" stays where it is
};

/// Runs a root's private containerd as a child that cannot outlive this process: starts it again when it
/// dies, and ends it two seconds after the root's last engine and its keeper are gone; containers do not need
/// it to go on. Ok at once when another process minds it. For a process with one thread; SIGTERM ends both.
/// The error tells that containerd ends again and again.
Status mind_containerd(const MinderConfig& config);

}  // namespace pouch::keeper
