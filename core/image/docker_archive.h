#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/image/archive_images.h"

namespace pouch::image {

/// One image in the manifest.json of a `docker save` archive.
struct DockerArchiveItem {
  std::string config_path;
  std::vector<std::string> layer_paths;  ///< lowest first
  std::vector<Reference> names;
};

/// InvalidArgument where manifest.json is not as it should be.
Result<std::vector<DockerArchiveItem>> read_docker_items(const ArchiveStage& stage,
                                                         const ImageLimits& limits);
/// See find_images().
Result<std::vector<ImageContent>> read_docker_archive(const ArchiveStage& stage,
                                                      const std::optional<api::Platform>& platform,
                                                      const ImageLimits& limits);

/// "", "gzip" or "zstd" by the first bytes of a layer; InvalidArgument for another compression.
Result<std::string_view> layer_compression(std::string_view head);
bool matches_platform(const ImageConfigFacts& facts, const api::Platform& platform);
/// Reads the config and puts it, with the diff ids, into `image`, whose layers' blobs are set.
Status set_config(std::string json, const char* media_type, const ImageLimits& limits, ImageContent& image);

}  // namespace pouch::image
