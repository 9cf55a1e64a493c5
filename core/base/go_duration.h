#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pouch {

/// "1h30m" as Go writes durations, whole numbers of h, m, s, ms, us, ns; in nanoseconds. nullopt for anything
/// else, and for what is longer than about 73 years.
std::optional<int64_t> parse_go_duration(std::string_view text);

}  // namespace pouch
