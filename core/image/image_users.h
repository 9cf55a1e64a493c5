#pragma once

#include <vector>

#include "core/base/id.h"
#include "core/base/status.h"

namespace pouch {

/// A container that was made from an image.
struct ImageUse {
  ContainerId container;
  bool running = false;
};

/// How the image manager asks who needs an image. Thread-safe.
class ImageUsers {
 public:
  virtual ~ImageUsers() = default;

  /// All containers of the image, those being created included. Called while the image manager holds the
  /// write transaction that removes the image: it may only read the database (a snapshot of its own), with no
  /// RPC and no transaction.
  virtual Result<std::vector<ImageUse>> uses_of_image(const Digest& image_id) = 0;
};

}  // namespace pouch
