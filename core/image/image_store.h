#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/types.h"
#include "core/registry/reference.h"
#include "core/store/database.h"

namespace pouch::image {

/// A row of `images`.
struct ImageRow {
  Digest id;
  std::string config_json;
  ctrd::Descriptor manifest;
  ChainId chain_id;  ///< top; empty without layers
  std::string snapshotter;
  int64_t size = 0;  ///< bytes of all layers unpacked
  std::string architecture;
  std::string os;
  Timestamp created;  ///< as the config says; zero: it does not
};

/// A row of `image_layers`.
struct LayerRow {
  ChainId chain_id;
  Digest blob;
  int64_t size = 0;  ///< bytes of this layer unpacked
};

/// A row of `image_references`.
struct NameRow {
  Reference reference;
  Digest image_id;
  Timestamp tagged;
};

// The images of a root in its database. Each function is one or two statements of the session it is given.

Result<std::optional<ImageRow>> find_image(store::Session& session, const Digest& id);
Result<std::vector<ImageRow>> all_images(store::Session& session);
Result<int64_t> count_images(store::Session& session);
/// At most two ids that begin with "sha256:" and `hex`.
Result<std::vector<Digest>> ids_with_prefix(store::Session& session, std::string_view hex);

Result<std::optional<Digest>> find_name(store::Session& session, const std::string& reference);
/// The image with this manifest that has a name in `repository`: what name@digest means without a row of its
/// own.
Result<std::optional<Digest>> find_manifest(store::Session& session, const std::string& repository,
                                            const Digest& manifest);
/// In the order of their text.
Result<std::vector<NameRow>> names_of(store::Session& session, const Digest& id);
Result<std::vector<NameRow>> all_names(store::Session& session);

/// Adds the image, or freshens what may differ of one that is there. With a session that is not empty it is
/// the session's, too; without one it is everybody's from now on. The same holds for names.
Status put_image(store::Transaction& transaction, const ImageRow& image, const std::vector<LayerRow>& layers,
                 const std::string& session);
/// The image has another manifest, of the same config, from now on, and other blobs of its layers, lowest
/// first. False: it is gone, or has not the manifest `before`.
Result<bool> swap_manifest(store::Transaction& transaction, const Digest& id, const Digest& before,
                           const ctrd::Descriptor& manifest, const std::vector<Digest>& blobs);
/// Gives the name to the image; the image that had it before, if another.
Result<std::optional<Digest>> put_name(store::Transaction& transaction, const Reference& reference,
                                       const Digest& id, const Digest& manifest, const std::string& session);
/// Whether only sessions have made the image, or the name.
Result<bool> is_image_of_sessions(store::Session& session, const Digest& id);
Result<bool> is_name_of_sessions(store::Session& session, const std::string& reference);
Status make_image_everybodys(store::Transaction& transaction, const Digest& id);
Status remove_name(store::Transaction& transaction, const Reference& reference);
/// With its names and layers.
Status remove_image(store::Transaction& transaction, const Digest& id);
/// Lowest first.
Result<std::vector<LayerRow>> layers_of(store::Session& session, const Digest& id);
/// Chain ids of the image's layers that no other image has, highest first.
Result<std::vector<ChainId>> unshared_layers(store::Session& session, const Digest& id);

/// Bytes of layers that other images have, too, by image; one that shares nothing is not there.
Result<std::map<Digest, int64_t>> shared_bytes(store::Session& session);
/// Bytes of all layers, each counted once.
Result<int64_t> layers_bytes(store::Session& session);

/// The image that `text` means: a reference, "sha256:<64 hex>", 64 hex digits, or a unique prefix of the hex.
/// NotFound "No such image: busybox:latest"; InvalidArgument for a bad reference or an ambiguous prefix.
Result<Digest> resolve_image(store::Session& session, const std::string& text);
/// True when `text` means `id` by its id or a prefix of it, not by a name.
bool is_id_prefix(std::string_view text, const Digest& id);

}  // namespace pouch::image
