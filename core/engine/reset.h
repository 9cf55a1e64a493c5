#pragma once

#include <cstdint>
#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/store/engine_options.h"

namespace pouch {

struct ResetOptions {
  bool in_use = false;  ///< also while other processes have the root open; what they do afterwards fails
  bool force = false;   ///< also what cannot be removed properly, as with a given containerd that is gone
};

struct ResetReport {
  std::string root_id;
  std::string root_dir;
  int64_t containers = 0;
  int64_t images = 0;
};

/// Removes a root and all that it owns: containers and their tasks, images, snapshots and content, its
/// namespace in containerd or its private containerd, its keeper, control groups, networks, mounts, run
/// folder, and its files in the root folder, which goes too when nothing else is in it. A root that is being
/// reset is opened by nobody; one whose reset was broken off can be reset again.
/// NotFound: there is no root. Conflict: other processes have it open; names them. PermissionDenied: not
/// root, or its keeper is in other namespaces.
Result<ResetReport> reset_root(EngineOptions options, const ResetOptions& reset, const Call& call);

}  // namespace pouch
