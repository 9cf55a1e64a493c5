#pragma once

#include <string>

#include "core/base/status.h"
#include "core/store/engine_options.h"

namespace pouch::container {

/// What a container was to be started with.
struct RuntimeUse {
  std::string name;  ///< of the runtime
  RuntimeOptions runtime;
  std::string containerd_address;
};

/// Why a task could not be made, from containerd's reason with the runtime's last words: in Moby's words, or,
/// where the shim or the runtime itself is what is missing, as the finding that `pouch check` has of it.
Status explain_task_failure(const Status& reason, const RuntimeUse& use);

/// As Docker tells them apart by the runtime's words: 127 the command is not found, 126 it cannot be
/// executed, 128 for all else. `text` is a message of explain_task_failure.
int exit_code_of_failure(const std::string& text);

}  // namespace pouch::container
