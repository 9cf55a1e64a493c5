#include "core/image/docker_archive.h"

#include <utility>

#include "core/base/text.h"

namespace pouch::image {
namespace {

Status bad_manifest(std::string_view why) {
  return invalid_argument("the archive's manifest.json is invalid: " + std::string(why));
}

Result<std::vector<std::string>> string_list(const Json& item, const char* key) {
  std::vector<std::string> out;
  const Json& list = item[key];
  if (list.isNull()) return out;
  if (!list.isArray()) return bad_manifest(std::string(key) + " is not an array");
  for (const Json& element : list) {
    if (!element.isString()) return bad_manifest(std::string(key) + " holds something else than strings");
    out.push_back(element.asString());
  }
  return out;
}

Result<DockerArchiveItem> read_item(const Json& item) {
  if (!item.isObject()) return bad_manifest("an image is not an object");
  DockerArchiveItem out;
  const Json& config = item["Config"];
  if (!config.isString() || config.asString().empty()) return bad_manifest("Config is not a file name");
  out.config_path = config.asString();
  POUCH_ASSIGN_OR_RETURN(out.layer_paths, string_list(item, "Layers"));
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, string_list(item, "RepoTags"));
  for (const std::string& name : names) {
    auto parsed = Reference::parse(name);
    if (!parsed.is_ok()) return bad_manifest("RepoTags: " + parsed.status().message());
    if (parsed->tag().empty() || !parsed->digest().empty()) {
      return bad_manifest("RepoTags: " + quote(name) + " is not a name with a tag");
    }
    out.names.push_back(std::move(*parsed));
  }
  return out;
}

Result<ImageContent> read_image(const ArchiveStage& stage, const DockerArchiveItem& item,
                                const ImageLimits& limits) {
  ImageContent image;
  image.names = item.names;
  for (const std::string& path : item.layer_paths) {
    const StagedFile* file = stage.find(path);
    if (file == nullptr) return invalid_argument("the archive has no layer file " + quote(path));
    POUCH_ASSIGN_OR_RETURN(const std::string_view compression, layer_compression(file->head));
    ImageLayer layer;
    layer.blob.media_type = kOciLayerType;
    if (!compression.empty()) layer.blob.media_type.append("+").append(compression);
    layer.blob.digest = file->digest;
    layer.blob.size = file->size;
    image.layers.push_back(std::move(layer));
  }
  POUCH_ASSIGN_OR_RETURN(std::string config, stage.text(item.config_path));
  POUCH_RETURN_IF_ERROR(set_config(std::move(config), kOciConfigType, limits, image));
  image.manifest_json = make_manifest(image.config, image.layers);
  image.manifest.media_type = kOciManifestType;
  image.manifest.digest = Digest(sha256_digest(image.manifest_json));
  image.manifest.size = static_cast<int64_t>(image.manifest_json.size());
  return image;
}

}  // namespace

Result<std::string_view> layer_compression(std::string_view head) {
  using namespace std::string_view_literals;
  if (head.starts_with("\x1f\x8b"sv)) return "gzip"sv;
  if (head.starts_with("\x28\xb5\x2f\xfd"sv)) return "zstd"sv;
  if (head.starts_with("BZh"sv) || head.starts_with("\xfd\x37\x7a\x58\x5a"sv)) {
    return invalid_argument("a layer is compressed by bzip2 or xz; layers may be plain, gzip or zstd");
  }
  return ""sv;
}

bool matches_platform(const ImageConfigFacts& facts, const api::Platform& platform) {
  if (facts.os != platform.os || facts.architecture != platform.architecture) return false;
  return !platform.variant || platform.variant->empty() || facts.variant.empty() ||
         *platform.variant == facts.variant;
}

Status set_config(std::string json, const char* media_type, const ImageLimits& limits, ImageContent& image) {
  POUCH_ASSIGN_OR_RETURN(image.facts, parse_image_config(json, limits));
  image.config.media_type = media_type;
  image.config.digest = Digest(sha256_digest(json));
  image.config.size = static_cast<int64_t>(json.size());
  image.config_json = std::move(json);
  const std::vector<Digest>& diff_ids = image.facts.diff_ids;
  if (diff_ids.size() != image.layers.size()) {
    return invalid_argument("the image config names " + std::to_string(diff_ids.size()) + " layers, but " +
                            std::to_string(image.layers.size()) + " are there");
  }
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    ImageLayer& layer = image.layers[i];
    layer.diff_id = diff_ids[i];
    const bool is_plain = layer.blob.media_type.ends_with("tar");
    if (is_plain && layer.blob.digest != layer.diff_id) {
      return {Code::kDataLoss, "layer " + std::to_string(i) + " has the digest " + layer.blob.digest.str() +
                                   ", but the image config says " + layer.diff_id.str()};
    }
  }
  return {};
}

Result<std::vector<DockerArchiveItem>> read_docker_items(const ArchiveStage& stage,
                                                         const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const std::string text, stage.text("manifest.json"));
  auto root = parse_json(text, {limits.max_json_bytes, limits.max_json_depth});
  if (!root.is_ok()) return bad_manifest(root.status().message());
  if (!root->isArray()) return bad_manifest("it is not an array");
  if (root->size() > limits.max_images) {
    return Status(Code::kResourceExhausted,
                  "the archive holds more than " + std::to_string(limits.max_images) + " images");
  }
  std::vector<DockerArchiveItem> items;
  for (const Json& item : *root) {
    POUCH_ASSIGN_OR_RETURN(DockerArchiveItem read, read_item(item));
    if (read.layer_paths.size() > limits.max_layers) {
      return Status(Code::kResourceExhausted,
                    "an image has more than " + std::to_string(limits.max_layers) + " layers");
    }
    items.push_back(std::move(read));
  }
  return items;
}

Result<std::vector<ImageContent>> read_docker_archive(const ArchiveStage& stage,
                                                      const std::optional<api::Platform>& platform,
                                                      const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const std::vector<DockerArchiveItem> items, read_docker_items(stage, limits));
  std::vector<ImageContent> images;
  for (const DockerArchiveItem& item : items) {
    POUCH_ASSIGN_OR_RETURN(ImageContent image, read_image(stage, item, limits));
    if (!platform || matches_platform(image.facts, *platform)) images.push_back(std::move(image));
  }
  return images;
}

}  // namespace pouch::image
