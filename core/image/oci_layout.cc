#include "core/image/oci_layout.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "core/base/text.h"
#include "core/image/docker_archive.h"
#include "core/image/manifest.h"

namespace pouch::image {
namespace {

constexpr const char* kNameAnnotation = "io.containerd.image.name";          // containerd, buildx: full name
constexpr const char* kRefAnnotation = "org.opencontainers.image.ref.name";  // OCI: a tag, or a name and tag

Status bad_layout(std::string_view what, std::string_view why) {
  return invalid_argument("the archive's " + std::string(what) + " is invalid: " + std::string(why));
}

// Reads a layout that is staged.
class LayoutReader {
 public:
  LayoutReader(const ArchiveStage& stage, const std::optional<api::Platform>& platform,
               const ImageLimits& limits)
      : stage_(stage), wanted_(platform), limits_(limits) {}

  Result<std::vector<ImageContent>> run() {
    POUCH_RETURN_IF_ERROR(check_version());
    POUCH_ASSIGN_OR_RETURN(const std::string text, stage_.text("index.json"));
    POUCH_ASSIGN_OR_RETURN(const Manifest index, parse_manifest(text, "the archive's index.json", limits_));
    if (!index.is_index) return bad_layout("index.json", "manifests is not an array");
    for (const IndexEntry& entry : index.entries) {
      if (entry.is_attestation) continue;
      POUCH_ASSIGN_OR_RETURN(std::optional<ImageContent> image, resolve(entry.descriptor, 0));
      if (!image) continue;
      if (wanted_ && !matches_platform(image->facts, *wanted_)) continue;
      POUCH_RETURN_IF_ERROR(add(std::move(*image), entry.descriptor.annotations));
    }
    return std::move(images_);
  }

 private:
  Result<Json> parse(const std::string& text, std::string_view what) const {
    auto root = parse_json(text, {limits_.max_json_bytes, limits_.max_json_depth});
    if (!root.is_ok()) return bad_layout(what, root.status().message());
    if (!root->isObject()) return bad_layout(what, "it is not an object");
    return root;
  }

  Status check_version() const {
    POUCH_ASSIGN_OR_RETURN(const std::string text, stage_.text("oci-layout"));
    POUCH_ASSIGN_OR_RETURN(const Json root, parse(text, "oci-layout"));
    const Json& version = root["imageLayoutVersion"];
    if (!version.isString() || !version.asString().starts_with("1.")) {
      return bad_layout("oci-layout", "imageLayoutVersion is not 1.x");
    }
    return {};
  }

  // The blob's file, its bytes as the descriptor says; null when the archive does not hold it.
  Result<const StagedFile*> blob(const ctrd::Descriptor& descriptor) const {
    const std::string path = "blobs/sha256/" + descriptor.digest.str().substr(7);
    const StagedFile* file = stage_.find(path);
    if (file == nullptr) return file;
    if (file->digest != descriptor.digest) {
      return Status(Code::kDataLoss,
                    "the archive's file " + quote(path) + " has the digest " + file->digest.str());
    }
    if (file->size != descriptor.size) {
      return Status(Code::kDataLoss, "the archive's file " + quote(path) + " has " +
                                         std::to_string(file->size) + " bytes, but its descriptor says " +
                                         std::to_string(descriptor.size));
    }
    return file;
  }

  Result<std::string> blob_text(const ctrd::Descriptor& descriptor) const {
    POUCH_ASSIGN_OR_RETURN(const StagedFile* file, blob(descriptor));
    if (file == nullptr) return invalid_argument("the archive has no blob " + descriptor.digest.str());
    return stage_.text_of(*file, descriptor.digest.str());
  }

  // The image of a manifest, or the best one of an index; none when the index has none for us.
  Result<std::optional<ImageContent>> resolve(const ctrd::Descriptor& descriptor, int depth) {
    POUCH_ASSIGN_OR_RETURN(const std::string text, blob_text(descriptor));
    const std::string what = "manifest " + descriptor.digest.str();
    POUCH_ASSIGN_OR_RETURN(const Manifest manifest, parse_manifest(text, "the archive's " + what, limits_));
    if (!manifest.is_index) return read_manifest(manifest, descriptor, text);
    if (depth >= limits_.max_index_depth) return bad_layout(what, "too many indexes inside indexes");
    for (const IndexEntry* entry : candidates(manifest.entries)) {
      POUCH_ASSIGN_OR_RETURN(const StagedFile* file, blob(entry->descriptor));
      if (file != nullptr) return resolve(entry->descriptor, depth + 1);
    }
    return std::optional<ImageContent>();
  }

  // Those that may be taken, best first: the platform asked for, or the host's and then the others.
  std::vector<const IndexEntry*> candidates(const std::vector<IndexEntry>& entries) const {
    std::vector<const IndexEntry*> all = entries_for(entries, wanted_ ? *wanted_ : host_platform());
    if (wanted_) return all;
    for (const IndexEntry& entry : entries) {
      if (!entry.is_attestation && std::ranges::find(all, &entry) == all.end()) all.push_back(&entry);
    }
    return all;
  }

  Result<std::optional<ImageContent>> read_manifest(const Manifest& manifest,
                                                    const ctrd::Descriptor& descriptor,
                                                    const std::string& text) {
    const std::string what = "manifest " + descriptor.digest.str();
    ImageContent image;
    for (const ctrd::Descriptor& blob : manifest.layers) {
      POUCH_ASSIGN_OR_RETURN(ImageLayer layer, read_layer(blob, what));
      image.layers.push_back(std::move(layer));
    }
    const ctrd::Descriptor& config = manifest.config;
    POUCH_ASSIGN_OR_RETURN(std::string config_json, blob_text(config));
    POUCH_RETURN_IF_ERROR(set_config(std::move(config_json), kOciConfigType, limits_, image));
    if (!config.media_type.empty()) image.config.media_type = config.media_type;
    image.manifest = descriptor;
    image.manifest.annotations.clear();
    if (image.manifest.media_type.empty()) image.manifest.media_type = kOciManifestType;
    image.manifest_json = text;
    return std::optional<ImageContent>(std::move(image));
  }

  // The media type must tell the compression as it is: containerd unpacks by it.
  Result<ImageLayer> read_layer(const ctrd::Descriptor& descriptor, const std::string& what) const {
    ImageLayer layer;
    layer.blob = descriptor;
    layer.blob.annotations.clear();
    POUCH_ASSIGN_OR_RETURN(const StagedFile* file, blob(layer.blob));
    if (file == nullptr) return invalid_argument("the archive has no layer " + layer.blob.digest.str());
    const std::string_view type = layer.blob.media_type;
    if (type.find("layer.v1.tar") == std::string_view::npos &&
        type.find("rootfs.diff.tar") == std::string_view::npos) {
      return bad_layout(what, "a layer has the media type " + quote(type));
    }
    POUCH_ASSIGN_OR_RETURN(const std::string_view compression, layer_compression(file->head));
    layer.blob.media_type = kOciLayerType;
    if (!compression.empty()) layer.blob.media_type.append("+").append(compression);
    return layer;
  }

  Status add(ImageContent image, const ctrd::Labels& annotations) {
    std::optional<Reference> name;
    if (const auto full = annotations.find(kNameAnnotation); full != annotations.end()) {
      POUCH_ASSIGN_OR_RETURN(name, Reference::parse(full->second));
    } else if (const auto ref = annotations.find(kRefAnnotation);
               ref != annotations.end() && ref->second.find_first_of(":/") != std::string::npos) {
      // A bare tag names no repository, and anything else that is no reference is no name either.
      if (auto parsed = Reference::parse(ref->second); parsed.is_ok()) name = *parsed;
    }
    const auto same = std::ranges::find_if(
        images_, [&](const ImageContent& other) { return other.config.digest == image.config.digest; });
    ImageContent& into = same == images_.end() ? images_.emplace_back(std::move(image)) : *same;
    if (name && name->digest().empty()) into.names.push_back(name->with_default_tag());
    return {};
  }

  const ArchiveStage& stage_;
  const std::optional<api::Platform>& wanted_;
  const ImageLimits& limits_;
  std::vector<ImageContent> images_;
};

}  // namespace

Result<std::vector<ImageContent>> read_oci_layout(const ArchiveStage& stage,
                                                  const std::optional<api::Platform>& platform,
                                                  const ImageLimits& limits) {
  return LayoutReader(stage, platform, limits).run();
}

}  // namespace pouch::image
