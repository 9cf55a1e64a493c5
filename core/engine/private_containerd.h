#pragma once

#include <string>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/store/engine_context.h"

// The containerd that a root has for itself. pouch-keeper runs it (`--mind-containerd`,
// daemon/keeper/minder.h); any engine of the root that needs it starts that. Its lasting state is in
// <root>/containerd, the rest in the run folder.

namespace pouch::private_containerd {

std::string socket_path(const std::string& run_dir);
std::string config_path(const std::string& run_dir);
std::string log_path(const std::string& run_dir);
/// TMPDIR of it, its shims and their runtimes: what those leave when they are killed goes with the run
/// folder.
std::string temporary_path(const std::string& run_dir);
/// Held, with its place (core/sys/place.h), by the process that minds it.
std::string lock_path(const std::string& run_dir);
/// Held by who starts or ends it.
std::string start_lock_path(const std::string& run_dir);

/// Returns once somebody listens on its socket, starting it when there is none; it may not serve yet. Safe
/// against other threads and processes doing the same. Unavailable tells why it does not start, and how to
/// install it; PermissionDenied when this process is not in its namespaces, or has no_new_privs.
Status ensure(const EngineContext& context, Deadline deadline);

/// Its configuration file, as containerd 1.6 to 2.x read it.
std::string config_text(const std::string& root_dir, const std::string& run_dir,
                        const std::string& snapshotter);

}  // namespace pouch::private_containerd
