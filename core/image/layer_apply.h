#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/ctrd/types.h"
#include "core/image/archive_images.h"
#include "core/image/layer_tree.h"
#include "core/image/limits.h"

namespace pouch::image {

/// DataLoss: the layer unpacks to something else than the image says.
Status diff_mismatch(const ImageLayer& layer, const Digest& got);

/// The folders of an overlay that a snapshotter has prepared.
struct OverlayFolders {
  std::string upper;
  std::vector<std::string> lowers;  ///< topmost first
};

/// Of an active snapshot. nullopt for mounts of another kind: containerd must unpack into them. `is_lowest`:
/// the snapshot has no parent; an overlay comes as a plain folder then.
std::optional<OverlayFolders> overlay_folders(const std::vector<ctrd::Mount>& mounts, bool is_lowest);

/// Whether the upper folder of the active snapshot is the one that we see under its name: containerd counts
/// what we put there.
Result<bool> shares_folders(const ctrd::Client& client, const Call& call, const std::string& snapshotter,
                            const std::string& key, const OverlayFolders& folders);

/// A layer that was unpacked into a folder of its own, without containerd's help, while those below may not
/// be there yet.
class StagedLayer {
 public:
  /// Unpacks a blob of the content store into the folder, which is empty and stays as it is when that fails.
  static Result<StagedLayer> unpack(const ctrd::Client& client, const Call& call,
                                    const ctrd::Descriptor& blob, const std::string& folder, bool is_lowest,
                                    const ImageLimits& limits);

  const std::string& folder() const { return folder_; }
  /// Of the uncompressed tar; the caller must compare it with the image's.
  const Digest& diff_id() const { return diff_id_; }
  /// Moves all into the empty upper folder of the overlay, on the same file system, and completes what
  /// depends on the lower ones.
  Status move_into(const OverlayFolders& folders);

 private:
  StagedLayer(std::string folder, std::unique_ptr<LayerTree> tree, Digest diff_id)
      : folder_(std::move(folder)), tree_(std::move(tree)), diff_id_(std::move(diff_id)) {}

  std::string folder_;
  std::unique_ptr<LayerTree> tree_;
  Digest diff_id_;
};

}  // namespace pouch::image
