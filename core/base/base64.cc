#include "core/base/base64.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace pouch {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr int8_t kNoDigit = -1;

std::string encode(std::string_view bytes, std::string_view digits) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8U | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? digits[group >> (18U - 6U * k) & 63U] : '=';
    }
  }
  return out;
}

constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> values{};
  values.fill(kNoDigit);
  for (size_t i = 0; i < kDigits.size(); ++i) {
    values[static_cast<unsigned char>(kDigits[i])] = static_cast<int8_t>(i);
    values[static_cast<unsigned char>(kUrlDigits[i])] = static_cast<int8_t>(i);
  }
  return values;
}

constexpr std::array<int8_t, 256> kValues = make_values();

// Nothing, or what fills the last group of four.
bool is_padding(std::string_view rest, size_t digits) {
  return rest.empty() ||
         (rest.size() == (4 - digits % 4) % 4 && rest.find_first_not_of('=') == std::string_view::npos);
}

}  // namespace

std::string base64_encode(std::string_view bytes) {
  return encode(bytes, kDigits);
}

std::string base64url_encode(std::string_view bytes) {
  return encode(bytes, kUrlDigits);
}

std::optional<std::string> base64_decode(std::string_view text) {
  const size_t digits = std::min(text.find('='), text.size());
  if (digits % 4 == 1 || !is_padding(text.substr(digits), digits)) return std::nullopt;
  std::string out;
  out.reserve(digits / 4 * 3 + 2);
  uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text.substr(0, digits)) {
    const int8_t value = kValues[static_cast<unsigned char>(c)];
    if (value == kNoDigit) return std::nullopt;
    bits = bits << 6U | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xffU);
  }
  return out;
}

}  // namespace pouch
