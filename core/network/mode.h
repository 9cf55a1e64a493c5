#pragma once

#include <string>
#include <string_view>

#include "core/api/container.gen.h"

namespace pouch::network {

/// The network that every root has.
inline constexpr const char* kBridgeName = "bridge";

/// "bridge" in place of its other names, "" and "default".
inline std::string mode_of(const api::HostConfig& host) {
  const std::string mode = host.network_mode.value_or("");
  return mode.empty() || mode == "default" ? kBridgeName : mode;
}

/// What stands behind "container:"; "" for other modes.
inline std::string joined_container(const api::HostConfig& host) {
  constexpr std::string_view kPrefix = "container:";
  const std::string mode = mode_of(host);
  return mode.starts_with(kPrefix) ? mode.substr(kPrefix.size()) : std::string();
}

/// Whether it has links of its own: not the host's network, none, or another container's.
inline bool has_own_links(const api::HostConfig& host) {
  const std::string mode = mode_of(host);
  return mode != "host" && mode != "none" && joined_container(host).empty();
}

}  // namespace pouch::network
