#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace pouch::cni {

/// The versions of CNI that this library speaks, oldest first.
inline constexpr std::array<std::string_view, 7> kVersions = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                                              "0.4.0", "1.0.0", "1.1.0"};

/// Its place in kVersions, so that ranks compare as versions do; -1 when unknown.
int version_rank(std::string_view version);

/// Whether a known version is that one or a later one.
bool is_at_least(std::string_view version, std::string_view floor);

/// The newest known one of those offered that is not newer than `most`; "" when there is none.
std::string newest_version(const std::vector<std::string>& offered, std::string_view most);

}  // namespace pouch::cni
