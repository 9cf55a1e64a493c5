#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/api/system.gen.h"
#include "core/store/engine_context.h"

namespace pouch {

/// The facts about the host; returns the warnings that go with them, in Moby's words.
std::vector<std::string> fill_host(api::SystemInfo& out);

struct KeeperFacts {
  std::string version;
  int64_t pid = 0;
};
/// The root's keeper, if one runs; starts none.
std::optional<KeeperFacts> running_keeper(const EngineContext& context);

}  // namespace pouch
