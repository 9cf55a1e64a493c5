#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/image/archive_images.h"
#include "core/image/layer_apply.h"
#include "core/image/layer_blobs.h"
#include "core/image/limits.h"

namespace pouch::image {

/// Unpacks layers side by side, each into a snapshot of its own without a parent, as their blobs come. For
/// one thread; has threads of its own.
class LayerStage {
 public:
  /// All must outlive it; the client is under a lease, which takes the snapshots that are left.
  LayerStage(const ctrd::Client& client, std::string snapshotter, const Call& call,
             const std::vector<ImageLayer>& layers, size_t first, LayerBlobs& blobs,
             const ImageLimits& limits);
  /// Ends what still runs.
  ~LayerStage();
  LayerStage(const LayerStage&) = delete;
  LayerStage& operator=(const LayerStage&) = delete;

  /// Whether we can at all: the snapshotter's folders are overlay's, and in our sight.
  static Result<bool> is_possible(const ctrd::Client& client, const std::string& snapshotter,
                                  const Call& call);

  /// Unpacks all layers from the first one on and has them on the disk.
  Status run();
  /// Puts one into an active snapshot that stands on the layer below it. Once each, after run(). False where
  /// the snapshot is no overlay after all: containerd must unpack into it.
  Result<bool> move_into(const Call& call, size_t layer, const std::vector<ctrd::Mount>& mounts);

 private:
  struct Staged {
    std::string key;
    std::optional<StagedLayer> layer;
  };

  void work();
  std::optional<size_t> take_next();
  void finish(const Status& status);
  Status stage(size_t layer);

  const ctrd::Client& client_;
  const std::string snapshotter_;
  const Call& call_;
  Call work_call_;  ///< the caller's, and cancelled when a layer fails
  int forward_ = 0;
  const std::vector<ImageLayer>& layers_;
  const size_t first_;
  LayerBlobs& blobs_;
  const ImageLimits& limits_;
  std::vector<Staged> staged_;  ///< by layer; each is its worker's until run() returns

  std::mutex mutex_;
  // Below protected by mutex_.
  size_t next_;
  Status status_;
};

}  // namespace pouch::image
