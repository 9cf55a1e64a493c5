#include "core/registry/retry.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <random>
#include <string>

#include "core/base/text.h"

namespace pouch::registry {
namespace {

constexpr int64_t kMaxWaitMs = 24LL * 3'600 * 1'000;
constexpr int64_t kFirstMs = 200;
constexpr int64_t kLongestMs = 5'000;

}  // namespace

std::optional<int64_t> retry_after_ms(std::string_view header, Timestamp now) {
  const std::string text(trim(header));
  if (text.empty()) return std::nullopt;
  int64_t seconds = 0;
  const char* const end = text.data() + text.size();
  if (const auto [at, error] = std::from_chars(text.data(), end, seconds); at == end) {
    // Too large for an integer is long, too.
    if (error != std::errc()) return kMaxWaitMs;
    return std::clamp<int64_t>(seconds, 0, kMaxWaitMs / 1000) * 1000;
  }
  std::tm date{};
  const char* const rest = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (rest == nullptr || *rest != '\0') return std::nullopt;
  const int64_t wait_ms = (int64_t{::timegm(&date)} * 1'000'000'000 - now.ns) / 1'000'000;
  return std::clamp<int64_t>(wait_ms, 0, kMaxWaitMs);
}

int64_t backoff_ms(int attempt) {
  const int doublings = std::clamp(attempt - 2, 0, 10);
  const int64_t longest = std::min(kFirstMs << doublings, kLongestMs);
  std::random_device random;
  return longest / 2 + static_cast<int64_t>(random() % static_cast<unsigned>(longest / 2 + 1));
}

}  // namespace pouch::registry
