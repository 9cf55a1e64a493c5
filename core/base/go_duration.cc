#include "core/base/go_duration.h"

#include <algorithm>
#include <array>

namespace pouch {
namespace {

struct Unit {
  std::string_view name;
  int64_t ns;
};

// Longer names before those that they begin with.
constexpr std::array<Unit, 6> kUnits{{{"ms", 1'000'000},
                                      {"us", 1'000},
                                      {"ns", 1},
                                      {"h", 3'600'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"s", 1'000'000'000}}};
constexpr int64_t kMaxDurationNs = int64_t{1} << 61;

}  // namespace

std::optional<int64_t> parse_go_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  int64_t total = 0;
  while (!text.empty()) {
    int64_t number = 0;
    size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9' && digits < 12) {
      number = number * 10 + (text[digits++] - '0');
    }
    text.remove_prefix(digits);
    const auto* unit = std::ranges::find_if(kUnits, [&](const Unit& u) { return text.starts_with(u.name); });
    if (digits == 0 || unit == kUnits.end() || number > (kMaxDurationNs - total) / unit->ns)
      return std::nullopt;
    text.remove_prefix(unit->name.size());
    total += number * unit->ns;
  }
  return total;
}

}  // namespace pouch
