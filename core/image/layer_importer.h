#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/image/archive_images.h"
#include "core/image/image_store.h"
#include "core/image/layer_blobs.h"
#include "core/image/layer_stage.h"

namespace pouch::image {

/// Views on layers that are there: they keep them, and all below, from the collector until the image that
/// they are for is recorded, and go with this. (Those of a process that dies go with its lease.)
class LayerPins {
 public:
  /// The client must be under a lease.
  LayerPins(std::shared_ptr<ctrd::Client> client, std::string snapshotter)
      : client_(std::move(client)), snapshotter_(std::move(snapshotter)) {}
  ~LayerPins();
  LayerPins(const LayerPins&) = delete;
  LayerPins& operator=(const LayerPins&) = delete;

  /// False: the layer is not there.
  Result<bool> add(const Call& call, const ChainId& chain);

 private:
  const std::shared_ptr<ctrd::Client> client_;
  const std::string snapshotter_;
  std::vector<std::string> keys_;
};

/// Turns layer blobs of the content store into committed snapshots: in place where we can, else by
/// containerd's Diff.Apply.
class LayerImporter {
 public:
  /// The client must be under a lease. `pins` must outlive it.
  LayerImporter(std::shared_ptr<ctrd::Client> client, std::string snapshotter, LayerPins& pins)
      : client_(std::move(client)), snapshotter_(std::move(snapshotter)), pins_(pins) {}

  /// Unpacks what is not there yet, lowest first, and keeps what is there from being collected while the
  /// lease lives. Every layer is compared with its diff id (DataLoss). `chain` has one id per layer.
  Result<std::vector<LayerRow>> import(const Call& call, const std::vector<ImageLayer>& layers,
                                       const std::vector<ChainId>& chain, LayerBlobs& blobs);

 private:
  Result<size_t> count_present(const Call& call, const std::vector<ChainId>& chain);
  Result<std::unique_ptr<LayerStage>> stage_layers(const Call& call, const std::vector<ImageLayer>& layers,
                                                   size_t present, LayerBlobs& blobs);
  Status make_snapshot(const Call& call, const ImageLayer& layer, const std::string& parent,
                       const ChainId& chain,
                       const std::function<Status(const std::vector<ctrd::Mount>& mounts)>& fill);
  Status apply(const Call& call, const ImageLayer& layer, const std::vector<ctrd::Mount>& mounts);
  Status take_over(const Call& call, const ImageLayer& layer, const ChainId& chain);
  Status verify_present(const Call& call, const ImageLayer& layer);
  void discard(const std::string& key);

  std::shared_ptr<ctrd::Client> client_;
  std::string snapshotter_;
  LayerPins& pins_;
  ImageLimits limits_;
};

}  // namespace pouch::image
