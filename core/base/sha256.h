#pragma once

#include <memory>
#include <string_view>

#include "core/base/id.h"

struct SHA256state_st;

namespace pouch {

/// SHA-256 of bytes that come in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::string_view bytes);
  /// The digest of all so far; once.
  Digest finish();

 private:
  std::unique_ptr<SHA256state_st> state_;
};

}  // namespace pouch
