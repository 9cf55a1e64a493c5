#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/api/container.gen.h"
#include "core/api/image.gen.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/image/limits.h"

namespace pouch::image {

/// What an image's config document (OCI image config, or Docker's) says.
struct ImageConfigFacts {
  std::string architecture;
  std::string variant;
  std::string os;
  std::string os_version;
  Timestamp created;  ///< zero: it does not say
  std::string author;
  std::string comment;
  std::string docker_version;
  std::string container;
  std::optional<api::ImageConfig> config;
  std::vector<Digest> diff_ids;  ///< lowest first
};

/// Unknown fields are skipped; wrong types, bad diff ids and absent architecture, os or rootfs are
/// InvalidArgument "the image config is invalid: …".
Result<ImageConfigFacts> parse_image_config(std::string_view json, const ImageLimits& limits);

/// The chain id of each layer: sha256 over the one below and the layer's diff id.
std::vector<ChainId> chain_ids(const std::vector<Digest>& diff_ids);

/// The image's defaults in the shape in which containers have them.
api::ContainerConfig to_container_config(const api::ImageConfig& config);

/// What of a container's configuration an image gives on to others.
api::ImageConfig to_image_config(const api::ContainerConfig& config);

/// The config document of a new image; `layers` are its diff ids, `comment` tells how it came to be.
std::string make_image_config(const ImageConfigFacts& facts, std::string_view comment);

/// What the image runs on.
api::Platform platform_of(const ImageConfigFacts& facts);

/// "amd64" and so on: Go's name of the architecture that this program runs on; empty when it has none.
std::string_view host_architecture();

}  // namespace pouch::image
