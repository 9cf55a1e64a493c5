#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/id.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/image/blob_sink.h"

namespace pouch::image {

/// Compresses what is written (gzip by ISA-L) into a blob. The same bytes give the same blob on one machine,
/// in whatever pieces they come: no name, no time, and always the same amount at once. (Another processor or
/// another ISA-L may compress otherwise.) Holds about 3 MiB. For one thread.
class GzipWriter {
 public:
  /// `sink` must outlive it.
  explicit GzipWriter(BlobSinkWriter& sink);
  ~GzipWriter();
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;

  Status write(std::string_view bytes);

  struct Blob {
    Digest digest;
    int64_t size = 0;
  };
  /// Ends it and commits the blob.
  Result<Blob> finish();

 private:
  struct Deflate;
  Status compress(bool is_last);

  BlobSinkWriter& sink_;
  std::unique_ptr<Deflate> deflate_;
  std::string in_;
  std::string out_;
  Sha256 hash_;
  int64_t size_ = 0;
};

}  // namespace pouch::image
