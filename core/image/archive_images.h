#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/api/common.gen.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/types.h"
#include "core/image/archive_stage.h"
#include "core/image/image_config.h"
#include "core/image/limits.h"
#include "core/registry/reference.h"

namespace pouch::image {

struct ImageLayer {
  ctrd::Descriptor blob;  ///< as it came: plain or compressed
  Digest diff_id;
};

/// An image as it can be put into the content store: manifest, config and what they refer to.
struct ImageContent {
  std::vector<Reference> names;  ///< each with a tag or a digest
  ctrd::Descriptor manifest;
  std::string manifest_json;
  ctrd::Descriptor config;  ///< its digest is the image's id
  std::string config_json;
  ImageConfigFacts facts;
  std::vector<ImageLayer> layers;  ///< lowest first
};

/// The images of an archive in OCI layout or in the form of `docker save`; of one that is both, the layout
/// gives the images and the other the names that the layout lacks.
///
/// Every digest that the archive claims is compared with the bytes (DataLoss), and every reference has its
/// file. Diff ids of compressed layers are not yet checked: unpacking does that. `platform`: only images of
/// that one; of an index else the host's, or the only one that the archive holds. InvalidArgument: no image,
/// or something that is not as the format wants it.
Result<std::vector<ImageContent>> find_images(const ArchiveStage& stage,
                                              const std::optional<api::Platform>& platform,
                                              const ImageLimits& limits);

/// The OCI manifest over a config and layers, as JSON.
std::string make_manifest(const ctrd::Descriptor& config, const std::vector<ImageLayer>& layers);

inline constexpr const char* kOciManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kOciIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr const char* kOciConfigType = "application/vnd.oci.image.config.v1+json";
inline constexpr const char* kOciLayerType = "application/vnd.oci.image.layer.v1.tar";  ///< "+gzip", "+zstd"
inline constexpr const char* kDockerManifestType = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr const char* kDockerListType = "application/vnd.docker.distribution.manifest.list.v2+json";

}  // namespace pouch::image
