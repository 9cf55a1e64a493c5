#include "core/image/image_distribution.h"

#include <string>
#include <utility>
#include <vector>

#include "core/image/image_config.h"
#include "core/image/pull_target.h"

namespace pouch::image {
namespace {

Result<api::Platform> platform_of_config(PullSource& source, const Call& call, const ctrd::Descriptor& config,
                                         const ImageLimits& limits) {
  if (config.size < 0 || static_cast<uint64_t>(config.size) > limits.max_json_bytes) {
    return Status(Code::kResourceExhausted, "the image config has " + std::to_string(config.size) +
                                                " bytes, more than " + std::to_string(limits.max_json_bytes));
  }
  std::string json;
  POUCH_RETURN_IF_ERROR(
      source.fetch_blob(call, config.digest, config.size, 0, [&json](std::string_view bytes) {
        json += bytes;
        return Status();
      }));
  POUCH_ASSIGN_OR_RETURN(const ImageConfigFacts facts, parse_image_config(json, limits));
  return platform_of(facts);
}

}  // namespace

Result<api::DistributionInspect> inspect_distribution(PullSource& source, const Call& call,
                                                      const Reference& name, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const RemoteDocument document, fetch_document(source, call, name, limits));
  api::DistributionInspect out;
  out.descriptor.media_type = document.descriptor.media_type;
  out.descriptor.digest = document.descriptor.digest.str();
  out.descriptor.size = document.descriptor.size;
  std::vector<api::Platform> platforms;
  for (const IndexEntry& entry : document.content.entries) {
    if (entry.platform && !entry.is_attestation) platforms.push_back(*entry.platform);
  }
  // What is no image of containers has no platform.
  if (!document.content.is_index && is_container_image(document.content)) {
    POUCH_ASSIGN_OR_RETURN(api::Platform platform,
                           platform_of_config(source, call, document.content.config, limits));
    platforms.push_back(std::move(platform));
  }
  out.platforms = std::move(platforms);
  return out;
}

}  // namespace pouch::image
