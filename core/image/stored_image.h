#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/api/common.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/image/image_config.h"
#include "core/image/image_store.h"
#include "core/image/limits.h"
#include "core/image/manifest.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// An image that is here, with its documents.
struct StoredImage {
  ImageRow row;
  ImageConfigFacts facts;
  std::string manifest_json;
  Manifest manifest;

  /// Config and layers, each once.
  std::vector<ctrd::Descriptor> blobs() const;
};

/// Reads the documents and looks whether all blobs are there. DataLoss where containerd has lost one.
Result<StoredImage> read_stored_image(const ctrd::Client& client, const Call& call, const ImageRow& row,
                                      const ImageLimits& limits);

/// The same of an image that stays whole for as long as the lease lives that the client is under, whoever
/// removes or changes it meanwhile. NotFound when it is gone.
Result<StoredImage> read_pinned_image(const EngineContext& context, const ctrd::Client& leased,
                                      const Call& call, const Digest& id, const ImageLimits& limits);

/// Keeps a blob, and all that its labels refer to, for as long as the lease lives that the client is under.
/// False: it is not there.
Result<bool> pin_blob(const ctrd::Client& leased, const Call& call, const ctrd::Descriptor& blob);

/// An OCI platform as JSON, as Docker's clients send it; none of an absent or empty text. InvalidArgument.
Result<std::optional<api::Platform>> parse_platform_option(const std::optional<std::string>& text);
/// NotFound, in Moby's words, where the image is for another platform.
Status check_platform(const ImageConfigFacts& facts, const std::optional<api::Platform>& platform,
                      const std::string& name);

/// Reads a blob of the content store at any place, in large pieces. For one thread; all must outlive it.
class BlobReader {
 public:
  BlobReader(const ctrd::Client& client, const Call& call, const ctrd::Descriptor& blob)
      : client_(client), call_(call), blob_(blob) {}
  /// At least one byte, at most `size`; DataLoss behind the end.
  Result<size_t> read(int64_t offset, char* buffer, size_t size);

 private:
  const ctrd::Client& client_;
  const Call& call_;
  const ctrd::Descriptor& blob_;
  std::string window_;
  int64_t begin_ = 0;  ///< of the window in the blob
};

}  // namespace pouch::image
