#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/base/status.h"
#include "core/io/keeper_hooks.h"

namespace pouch::keeper {

struct KeeperConfig {
  std::string root_dir;
  std::string run_dir;
  std::string cgroup;  ///< group of the root ("/pouch-<id>"), in which the keeper has one; "": none
  std::string containerd_program;  ///< not "": to mind the root's private containerd is all to be done
  int64_t idle_exit_ms = 10'000;
  int64_t drain_grace_ms = 2000;
  LogLevel log_level = LogLevel::kInfo;
  std::map<std::string, std::string> settings;  ///< "--set key=value", for the hooks
  std::vector<std::string> arguments;  ///< of this process, argv[0] first, without what only it was told
  int64_t estate = -1;                 ///< descriptor: see succession.h; -1: a keeper that is new
};

/// What ties the worker to its engine. Called in the worker before it serves; null: stdio, logs and attach
/// only.
Result<std::unique_ptr<io::KeeperHooks>> make_keeper_hooks(const KeeperConfig& config);

/// Minds the root's private containerd; see minder.h.
Status mind(const KeeperConfig& config);

}  // namespace pouch::keeper
