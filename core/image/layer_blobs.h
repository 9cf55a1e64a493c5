#pragma once

#include <cstddef>

#include "core/base/status.h"

namespace pouch::image {

/// Where the blobs of an image's layers come from while they are unpacked, lowest first.
class LayerBlobs {
 public:
  virtual ~LayerBlobs() = default;
  /// Once, before the others: the layers below `first` are unpacked already.
  virtual Status begin(size_t first) = 0;
  /// Returns when the blob of the layer is in the content store.
  virtual Status wait(size_t layer) = 0;
  /// It will be unpacked now.
  virtual void unpacking(size_t layer) = 0;
  /// The layer is there.
  virtual void unpacked(size_t layer) = 0;
};

/// Of archives: all blobs are stored before the first layer is unpacked.
class StoredBlobs final : public LayerBlobs {
 public:
  Status begin(size_t /*first*/) override { return {}; }
  Status wait(size_t /*layer*/) override { return {}; }
  void unpacking(size_t /*layer*/) override {}
  void unpacked(size_t /*layer*/) override {}
};

}  // namespace pouch::image
