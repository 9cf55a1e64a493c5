#include "core/cni/version.h"

#include <algorithm>

namespace pouch::cni {

int version_rank(std::string_view version) {
  const auto* const found = std::find(kVersions.begin(), kVersions.end(), version);
  return found == kVersions.end() ? -1 : static_cast<int>(found - kVersions.begin());
}

bool is_at_least(std::string_view version, std::string_view floor) {
  return version_rank(version) >= version_rank(floor);
}

std::string newest_version(const std::vector<std::string>& offered, std::string_view most) {
  int best = -1;
  for (const std::string& version : offered) {
    const int rank = version_rank(version);
    if (rank <= version_rank(most)) best = std::max(best, rank);
  }
  return best < 0 ? std::string() : std::string(kVersions[static_cast<size_t>(best)]);
}

}  // namespace pouch::cni
