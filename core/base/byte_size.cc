#include "core/base/byte_size.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "core/base/text.h"

namespace pouch {
namespace {

constexpr std::string_view kUnits = "kmgtp";
constexpr int kUnitBits = 10;
constexpr double kTooMuch = 9.2e18;  // int64_t ends at 9.22e18

// The factor that a unit stands for; 0 for what is none.
double factor_of(const std::string& unit) {
  if (unit.empty() || unit == "b") return 1;
  const size_t power = kUnits.find(unit.front());
  const std::string tail = unit.substr(1);
  if (power == std::string_view::npos || (!tail.empty() && tail != "b" && tail != "ib")) return 0;
  return std::ldexp(1.0, kUnitBits * static_cast<int>(power + 1));
}

}  // namespace

Result<int64_t> parse_byte_size(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  if (digits == 0 || error != std::errc() || end != text.data() + digits)
    return invalid_argument("invalid size: " + quote(text));
  std::string unit = to_lower(text.substr(digits));
  if (unit.starts_with(' ')) unit.erase(0, 1);
  const double factor = factor_of(unit);
  if (factor == 0) return invalid_argument("invalid suffix: " + quote(unit));
  if (number * factor > kTooMuch) return invalid_argument("invalid size: " + quote(text) + " is too much");
  return static_cast<int64_t>(number * factor);
}

}  // namespace pouch
