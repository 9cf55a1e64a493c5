#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/api/container.gen.h"
#include "core/base/status.h"

namespace pouch::container {

/// Whether this host has the processors and memory nodes that are asked for. InvalidArgument with Moby's
/// text.
Status check_processors(const api::HostConfig& host);

/// "0-2,7" as the kernel writes lists of processors; empty for a bad text.
std::optional<std::set<int>> parse_cpu_list(std::string_view text);

}  // namespace pouch::container
