#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/ctrd/types.h"
#include "core/image/limits.h"

namespace pouch::image {

/// The folders of an overlay that a snapshotter has prepared.
struct OverlayFolders {
  std::string upper;
  std::vector<std::string> lowers;  ///< topmost first
};

/// nullopt for mounts of another kind: containerd must unpack into them.
std::optional<OverlayFolders> overlay_folders(const std::vector<ctrd::Mount>& mounts);

/// Whether the upper folder of the active snapshot is the one that we see under its name: containerd counts
/// what we put there.
Result<bool> shares_folders(const ctrd::Client& client, const Call& call, const std::string& snapshotter,
                            const std::string& key, const OverlayFolders& folders);

/// Unpacks a layer's blob of the content store into the folders, without containerd's help; the digest of the
/// uncompressed tar, which the caller must compare with the diff id. What was written stays when it fails.
Result<Digest> unpack_in_place(const ctrd::Client& client, const Call& call, const ctrd::Descriptor& blob,
                               const OverlayFolders& folders, const ImageLimits& limits);

}  // namespace pouch::image
