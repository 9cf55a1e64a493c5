#include "core/image/archive_images.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/base/text.h"
#include "core/image/docker_archive.h"
#include "core/image/oci_layout.h"

namespace pouch::image {
namespace {

Json descriptor_json(const ctrd::Descriptor& descriptor) {
  Json out = json_object();
  out["mediaType"] = descriptor.media_type;
  out["digest"] = descriptor.digest.str();
  out["size"] = Json::Int64{descriptor.size};
  return out;
}

Status check_counts(const std::vector<ImageContent>& images, const ImageLimits& limits) {
  size_t names = 0;
  for (const ImageContent& image : images) names += image.names.size();
  if (images.size() > limits.max_images || names > limits.max_names) {
    return {Code::kResourceExhausted, "the archive holds more than " + std::to_string(limits.max_images) +
                                          " images or " + std::to_string(limits.max_names) + " names"};
  }
  return {};
}

// Names of a `docker save` archive for images of a layout that have none.
Status borrow_names(const ArchiveStage& stage, const ImageLimits& limits, std::vector<ImageContent>& images) {
  if (stage.find("manifest.json") == nullptr) return {};
  POUCH_ASSIGN_OR_RETURN(const std::vector<DockerArchiveItem> items, read_docker_items(stage, limits));
  for (ImageContent& image : images) {
    if (!image.names.empty()) continue;
    for (const DockerArchiveItem& item : items) {
      const StagedFile* config = stage.find(item.config_path);
      if (config != nullptr && config->digest == image.config.digest) image.names = item.names;
    }
  }
  return {};
}

}  // namespace

std::string make_manifest(const ctrd::Descriptor& config, const std::vector<ImageLayer>& layers) {
  Json root = json_object();
  root["schemaVersion"] = 2;
  root["mediaType"] = kOciManifestType;
  root["config"] = descriptor_json(config);
  root["layers"] = json_array();
  for (const ImageLayer& layer : layers) root["layers"].append(descriptor_json(layer.blob));
  return write_json(root);
}

Result<std::vector<ImageContent>> find_images(const ArchiveStage& stage,
                                              const std::optional<api::Platform>& platform,
                                              const ImageLimits& limits) {
  std::vector<ImageContent> images;
  if (stage.find("oci-layout") != nullptr && stage.find("index.json") != nullptr) {
    POUCH_ASSIGN_OR_RETURN(images, read_oci_layout(stage, platform, limits));
    POUCH_RETURN_IF_ERROR(borrow_names(stage, limits, images));
  } else if (stage.find("manifest.json") != nullptr) {
    POUCH_ASSIGN_OR_RETURN(images, read_docker_archive(stage, platform, limits));
  } else {
    return invalid_argument(
        "the archive holds no image: it has neither manifest.json (docker save) nor oci-layout and "
        "index.json "
        "(OCI layout)");
  }
  if (images.empty()) {
    return invalid_argument(platform ? "the archive holds no image for platform " +
                                           quote(platform->os + "/" + platform->architecture)
                                     : std::string("the archive holds no image"));
  }
  POUCH_RETURN_IF_ERROR(check_counts(images, limits));
  return images;
}

}  // namespace pouch::image
