#include "core/base/id.h"

// The old functions are all computation. The new ones look up what OpenSSL's own handler of exit() has freed,
// while threads may still be at work.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

namespace pouch {
namespace {

std::string to_hex(const unsigned char* data, size_t size) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(size * 2);
  for (size_t i = 0; i < size; ++i) {
    text.push_back(kDigits[data[i] >> 4U]);
    text.push_back(kDigits[data[i] & 15U]);
  }
  return text;
}

}  // namespace

std::string random_hex(size_t bytes) {
  std::vector<unsigned char> buffer(bytes);
  size_t have = 0;
  while (have < bytes) {
    const ssize_t got = ::getrandom(buffer.data() + have, bytes - have, 0);
    if (got > 0) have += static_cast<size_t>(got);
  }
  return to_hex(buffer.data(), bytes);
}

std::string new_object_id() {
  while (true) {
    std::string id = random_hex(32);
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (!std::all_of(id.begin(), id.begin() + 12, is_digit)) return id;
  }
}

bool is_hex(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

std::string sha256_digest(std::string_view data) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> sum{};
  SHA256_CTX state;
  ::SHA256_Init(&state);
  ::SHA256_Update(&state, data.data(), data.size());
  ::SHA256_Final(sum.data(), &state);
  return "sha256:" + to_hex(sum.data(), sum.size());
}

bool is_digest(std::string_view text) {
  return text.size() == 71 && text.starts_with("sha256:") && is_hex(text.substr(7));
}

}  // namespace pouch
