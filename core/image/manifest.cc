#include "core/image/manifest.h"

#include <algorithm>
#include <array>

#include "core/api/codec.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/image/image_config.h"

namespace pouch::image {
namespace {

constexpr const char* kAttestationAnnotation = "vnd.docker.reference.type";

// Reads one document; every error names it.
class ManifestReader {
 public:
  ManifestReader(const std::string& what, const ImageLimits& limits) : what_(what), limits_(limits) {}

  Result<Manifest> read(std::string_view text) const {
    auto root = parse_json(text, {limits_.max_json_bytes, limits_.max_json_depth});
    if (!root.is_ok()) return invalid(root.status().message());
    if (!root->isObject()) return invalid("it is not an object");
    if ((*root)["schemaVersion"].isInt64() && (*root)["schemaVersion"].asInt64() == 1) {
      return not_implemented(what_ + " has schema version 1, which is obsolete");
    }
    Manifest out;
    POUCH_ASSIGN_OR_RETURN(out.media_type, string_of(*root, "mediaType"));
    out.is_index = root->isMember("manifests");
    POUCH_RETURN_IF_ERROR(out.is_index ? read_entries(*root, out) : read_layers(*root, out));
    return out;
  }

 private:
  Status invalid(std::string_view why) const {
    return invalid_argument(what_ + " is invalid: " + std::string(why));
  }

  Status too_many(size_t limit, std::string_view things) const {
    return {Code::kResourceExhausted,
            what_ + " has more than " + std::to_string(limit) + " " + std::string(things)};
  }

  Result<std::string> string_of(const Json& object, const char* name) const {
    const Json& value = object[name];
    if (value.isNull()) return std::string();
    if (!value.isString()) return invalid(std::string(name) + " is not a string");
    return value.asString();
  }

  Result<ctrd::Descriptor> descriptor(const Json& json) const {
    ctrd::Descriptor out;
    if (!json.isObject()) return invalid("a descriptor is not an object");
    const Json& digest = json["digest"];
    if (!digest.isString() || !is_digest(digest.asString()))
      return invalid("a descriptor has no sha256 digest");
    const Json& size = json["size"];
    if (!size.isInt64() || size.asInt64() < 0) return invalid("a descriptor has no size");
    POUCH_ASSIGN_OR_RETURN(out.media_type, string_of(json, "mediaType"));
    out.digest = Digest(digest.asString());
    out.size = size.asInt64();
    const Json& annotations = json["annotations"];
    if (!annotations.isNull() && !annotations.isObject()) return invalid("annotations is not an object");
    for (auto at = annotations.begin(); at != annotations.end(); ++at) {
      if (at->isString()) out.annotations[at.name()] = at->asString();
    }
    return out;
  }

  Status read_entries(const Json& root, Manifest& out) const {
    const Json& manifests = root["manifests"];
    if (!manifests.isArray()) return invalid("manifests is not an array");
    if (manifests.size() > limits_.max_images) return too_many(limits_.max_images, "manifests");
    for (const Json& json : manifests) {
      IndexEntry entry;
      POUCH_ASSIGN_OR_RETURN(entry.descriptor, descriptor(json));
      entry.is_attestation = entry.descriptor.annotations.contains(kAttestationAnnotation);
      if (json.isMember("platform")) {
        auto platform = api::from_json<api::Platform>(json["platform"], api::DecodeMode::kLenient);
        if (!platform.is_ok()) return invalid(platform.status().message());
        entry.platform = std::move(*platform);
      }
      out.entries.push_back(std::move(entry));
    }
    return {};
  }

  Status read_layers(const Json& root, Manifest& out) const {
    const Json& layers = root["layers"];
    if (!layers.isArray()) return invalid("layers is not an array");
    if (layers.size() > limits_.max_layers) return too_many(limits_.max_layers, "layers");
    POUCH_ASSIGN_OR_RETURN(out.config, descriptor(root["config"]));
    for (const Json& json : layers) {
      POUCH_ASSIGN_OR_RETURN(ctrd::Descriptor layer, descriptor(json));
      out.layers.push_back(std::move(layer));
    }
    return {};
  }

  const std::string& what_;
  const ImageLimits& limits_;
};

// Variants that are what their architecture is without one (containerd's platforms package).
std::string normal_variant(const std::string& architecture, const std::optional<std::string>& variant) {
  const std::string text = variant.value_or("");
  const bool is_default = (architecture == "arm64" && text == "v8") ||
                          (architecture == "amd64" && text == "v1") ||
                          (architecture == "arm" && text == "v7");
  return is_default ? "" : text;
}

constexpr std::array<std::string_view, 5> kSystems = {"linux", "windows", "darwin", "freebsd", "wasip1"};

bool is_system(std::string_view text) {
  return std::ranges::find(kSystems, text) != kSystems.end();
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view json, const std::string& what, const ImageLimits& limits) {
  return ManifestReader(what, limits).read(json);
}

api::Platform host_platform() {
  api::Platform platform;
  platform.os = "linux";
  platform.architecture = host_architecture();
  return platform;
}

Result<api::Platform> parse_platform_text(std::string_view text) {
  const std::vector<std::string> parts = split(to_lower(text), '/');
  const auto is_bad = [](const std::string& part) {
    return part.empty() ||
           part.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") != std::string::npos;
  };
  if (parts.size() > 3 || std::ranges::any_of(parts, is_bad)) {
    return invalid_argument("platform " + quote(text) + ": expected os[/architecture[/variant]]");
  }
  api::Platform platform = host_platform();
  if (parts.size() == 1 && !is_system(parts[0])) {
    platform.architecture = parts[0];
    return platform;
  }
  platform.os = parts[0];
  if (parts.size() > 1) platform.architecture = parts[1];
  if (parts.size() > 2) platform.variant = parts[2];
  return platform;
}

std::string platform_text(const api::Platform& platform) {
  const std::string variant = platform.variant.value_or("");
  return platform.os + "/" + platform.architecture + (variant.empty() ? "" : "/" + variant);
}

bool is_same_platform(const api::Platform& a, const api::Platform& b) {
  return a.os == b.os && a.architecture == b.architecture &&
         a.os_version.value_or("") == b.os_version.value_or("") &&
         normal_variant(a.architecture, a.variant) == normal_variant(b.architecture, b.variant);
}

std::vector<const IndexEntry*> entries_for(const std::vector<IndexEntry>& entries,
                                           const api::Platform& platform) {
  const std::string variant = normal_variant(platform.architecture, platform.variant);
  std::vector<const IndexEntry*> same;
  std::vector<const IndexEntry*> open;
  for (const IndexEntry& entry : entries) {
    if (entry.is_attestation) continue;
    if (!entry.platform) {
      open.push_back(&entry);
      continue;
    }
    if (entry.platform->os != platform.os || entry.platform->architecture != platform.architecture) continue;
    const std::string its = normal_variant(platform.architecture, entry.platform->variant);
    if (its == variant) {
      same.push_back(&entry);
    } else if (its.empty()) {
      open.push_back(&entry);
    }
  }
  same.insert(same.end(), open.begin(), open.end());
  return same;
}

}  // namespace pouch::image
