#include "core/image/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <string>

namespace pouch::image {

void Sha256::Free::operator()(evp_md_ctx_st* context) const {
  ::EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(::EVP_MD_CTX_new()) {
  ::EVP_DigestInit_ex(context_.get(), ::EVP_sha256(), nullptr);
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
  ::EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

Digest Sha256::finish() {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, 32> sum{};
  ::EVP_DigestFinal_ex(context_.get(), sum.data(), nullptr);
  std::string text = "sha256:";
  for (const unsigned char byte : sum) {
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 15U]);
  }
  return Digest(std::move(text));
}

}  // namespace pouch::image
