#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/id.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/image/byte_source.h"

namespace pouch::image {

/// Undoes the compression of a layer (gzip by ISA-L, zstd; none), which its first bytes tell, and hashes what
/// comes out: the diff id, once all was read. InvalidArgument "the layer is damaged" or "… is truncated", by
/// the checksums, too; the source's errors as they are.
class InflateSource final : public ByteSource {
 public:
  /// `source` must outlive it.
  explicit InflateSource(ByteSource& source);
  /// The same without a digest. `what` is it, in errors: "the archive".
  InflateSource(ByteSource& source, std::string what);
  ~InflateSource() override;
  Result<std::string_view> next() override;
  /// Of all that next() gave. Once.
  Digest digest() { return hash_.finish(); }

  /// One way to decompress.
  class Codec;

 private:
  Status begin();

  ByteSource& source_;
  std::string what_ = "the layer";
  bool is_hashed_ = true;
  Sha256 hash_;
  std::unique_ptr<Codec> codec_;
  bool has_begun_ = false;
  std::string head_;  ///< read to tell the compression, not yet given on
};

}  // namespace pouch::image
