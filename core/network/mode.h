#pragma once

#include <string>

#include "core/api/container.gen.h"

namespace pouch::network {

/// The network that every root has.
inline constexpr const char* kBridgeName = "bridge";

/// "bridge" in place of its other names, "" and "default".
inline std::string mode_of(const api::HostConfig& host) {
  const std::string mode = host.network_mode.value_or("");
  return mode.empty() || mode == "default" ? kBridgeName : mode;
}

}  // namespace pouch::network
