#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/status.h"

namespace pouch::spec {

/// All names the kernel API knows, by number: "CAP_CHOWN" is 0.
std::span<const std::string_view> all_capabilities();
/// The names of the bits of a mask as in /proc/self/status.
std::vector<std::string> capabilities_of_mask(uint64_t mask);

struct CapabilitySet {
  std::vector<std::string> names;    ///< in the kernel's order
  std::vector<std::string> missing;  ///< asked for, but not ours to give
};

/// Docker's default set changed by CapAdd, CapDrop ("ALL", with or without "CAP_") and Privileged, limited to
/// `available`. InvalidArgument for an unknown name.
Result<CapabilitySet> resolve_capabilities(const api::HostConfig& host, bool privileged,
                                           const std::vector<std::string>& available);

}  // namespace pouch::spec
