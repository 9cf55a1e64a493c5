#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/cancel.h"
#include "core/store/engine_context.h"

namespace pouch {

/// Version and commit of something that the engine uses.
struct Component {
  std::string version;
  std::string commit;  ///< may be empty
};

/// None when containerd does not answer within a second.
std::optional<Component> containerd_component(const EngineContext& context, const Call& call);
/// What `<binary> --version` of an OCI runtime says; none when it cannot be run here. Runs a program.
std::optional<Component> runtime_component(const RuntimeOptions& runtime);
/// "runc version 1.1.5\ncommit: abc\n…": runc, crun and others agree on these two lines.
std::optional<Component> parse_runtime_version(std::string_view text);

}  // namespace pouch
