#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/id.h"
#include "core/base/status.h"

namespace pouch::image {

/// Takes one blob whose digest is known only at its end. Dropped without commit() it leaves nothing.
class BlobSinkWriter {
 public:
  virtual ~BlobSinkWriter() = default;
  virtual Status write(std::string_view bytes) = 0;
  virtual Status commit(const Digest& digest, int64_t size) = 0;
};

/// Where large files of an archive go while it is read: containerd's content store, or memory in tests.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  virtual Result<std::unique_ptr<BlobSinkWriter>> create() = 0;
  /// A committed blob; ResourceExhausted when it is larger than `limit` bytes.
  virtual Result<std::string> read_all(const Digest& digest, size_t limit) = 0;
};

}  // namespace pouch::image
