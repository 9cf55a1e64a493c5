#pragma once

#include <memory>
#include <string>

#include "core/base/cancel.h"
#include "core/ctrd/client.h"
#include "core/image/blob_sink.h"
#include "core/image/byte_source.h"

namespace pouch::image {

/// Blobs into containerd's content store. The client must be under a lease.
class ContentSink final : public BlobSink {
 public:
  ContentSink(std::shared_ptr<ctrd::Client> client, Call call)
      : client_(std::move(client)), call_(std::move(call)) {}
  Result<std::unique_ptr<BlobSinkWriter>> create() override;
  Result<std::string> read_all(const Digest& digest, size_t limit) override;

 private:
  std::shared_ptr<ctrd::Client> client_;
  Call call_;
};

/// A blob of the content store, in pieces; `client` must outlive it.
std::unique_ptr<ByteSource> content_source(const ctrd::Client& client, const Call& call, const Digest& digest,
                                           int64_t size);

/// The SHA-256 of a blob of the content store with its compression (gzip or zstd) undone.
Result<Digest> uncompressed_digest(const ctrd::Client& client, const Call& call, const Digest& blob,
                                   int64_t max_bytes);

}  // namespace pouch::image
