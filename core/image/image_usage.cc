#include "core/image/image_usage.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/image/image_list.h"
#include "core/image/stored_image.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

Result<std::vector<ImageUse>> uses_of(ImageUsers* users, const Digest& id) {
  return users == nullptr ? std::vector<ImageUse>() : users->uses_of_image(id);
}

}  // namespace

Status count_users(ImageUsers* users, std::vector<api::ImageSummary>& images) {
  for (api::ImageSummary& image : images) {
    POUCH_ASSIGN_OR_RETURN(const auto uses, uses_of(users, Digest(image.id)));
    image.containers = static_cast<int64_t>(uses.size());
  }
  return {};
}

Result<std::vector<api::ManifestSummary>> manifests_of(EngineContext& context, ImageUsers* users,
                                                       const Call& call, const Digest& id,
                                                       const ImageLimits& limits) {
  std::optional<ImageRow> row;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
    POUCH_ASSIGN_OR_RETURN(row, find_image(session, id));
  }
  if (!row) return not_found("No such image: " + id.str());
  POUCH_ASSIGN_OR_RETURN(const ImageConfigFacts facts, parse_image_config(row->config_json, limits));
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  const auto stored = read_stored_image(*client, call, *row, limits);
  if (!stored.is_ok() && stored.code() != Code::kDataLoss) return stored.status();
  POUCH_ASSIGN_OR_RETURN(const auto uses, uses_of(users, id));
  api::ManifestSummary out;
  out.id = row->manifest.digest.str();
  out.descriptor = descriptor_of(row->manifest);
  out.descriptor.platform = platform_of(facts);
  out.available = stored.is_ok();
  out.kind = "image";
  if (stored.is_ok()) {
    out.size.content = row->manifest.size;
    for (const ctrd::Descriptor& blob : stored->blobs()) out.size.content += blob.size;
  }
  out.size.total = out.size.content + row->size;
  api::ImageManifestData& data = out.image_data.emplace();
  data.platform = platform_of(facts);
  data.size.unpacked = row->size;
  std::vector<std::string> containers;
  for (const ImageUse& use : uses) containers.push_back(use.container.str());
  data.containers = std::move(containers);
  return std::vector<api::ManifestSummary>{std::move(out)};
}

}  // namespace pouch::image
