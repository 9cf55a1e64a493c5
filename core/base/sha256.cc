#include "core/base/sha256.h"

// The old functions are all computation. The new ones look up what OpenSSL's own handler of exit() has freed,
// while threads may still be at work.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <array>
#include <memory>
#include <string>

namespace pouch {

Sha256::Sha256() : state_(std::make_unique<SHA256_CTX>()) {
  ::SHA256_Init(state_.get());
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
  ::SHA256_Update(state_.get(), bytes.data(), bytes.size());
}

Digest Sha256::finish() {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, 32> sum{};
  ::SHA256_Final(sum.data(), state_.get());
  std::string text = "sha256:";
  for (const unsigned char byte : sum) {
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 15U]);
  }
  return Digest(std::move(text));
}

}  // namespace pouch
