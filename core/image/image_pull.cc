#include "core/image/image_pull.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "core/ctrd/content.h"
#include "core/ctrd/leases.h"
#include "core/image/archive_images.h"
#include "core/image/docker_archive.h"
#include "core/image/image_importer.h"
#include "core/image/image_store.h"
#include "core/image/kept_blobs.h"
#include "core/image/layer_downloads.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

// One image on its way from a registry.
class Pull {
 public:
  Pull(EngineContext& context, const Call& call, std::shared_ptr<ctrd::Client> leased, PullSource& source,
       const PullTarget& target, Progress& progress, const ImageLimits& limits)
      : context_(context),
        call_(call),
        leased_(std::move(leased)),
        source_(source),
        target_(target),
        progress_(progress),
        limits_(limits) {}

  Result<api::PulledImage> run() {
    const Reference& name = target_.name;
    progress_.note(name.tag().empty() ? name.digest().str() : name.tag(), "Pulling from " + name.path());
    POUCH_ASSIGN_OR_RETURN(ImageContent content, make_content());
    POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> before, known_as());
    LayerDownloads downloads(context_, leased_, source_, call_, content.layers, progress_);
    POUCH_ASSIGN_OR_RETURN(const bool is_known, knows(content.config.digest));
    if (is_known) downloads.hush();
    ImageImporter importer(context_, leased_);
    POUCH_ASSIGN_OR_RETURN(ImportedImage image, importer.import(call_, content, downloads));
    POUCH_RETURN_IF_ERROR(call_.check());
    const Digest id = image.row.id;
    image.event_id = name.familiar();
    image.event_name = name.familiar_repository();
    const Call rest = settled(call_);
    POUCH_RETURN_IF_ERROR(
        importer.record(rest, {std::move(image)}, "pull", /*with_tag_events=*/false).status());
    release_blobs(*leased_, rest, target_.content.layers);
    api::PulledImage out;
    out.id = id.str();
    out.digest = target_.root.digest.str();
    out.reference = name.familiar();
    out.is_new = before != id;
    progress_.note("", "Digest: " + out.digest);
    return out;
  }

 private:
  Result<ImageContent> make_content() {
    ImageContent content;
    content.names = {target_.name};
    // The name that stays when the tag has moved on; Docker's clients see it among the digests.
    if (target_.name.digest().empty()) content.names.push_back(target_.name.with_digest(target_.root.digest));
    content.manifest = target_.manifest;
    content.manifest_json = target_.manifest_json;
    for (const ctrd::Descriptor& blob : target_.content.layers) {
      POUCH_RETURN_IF_ERROR(check_layer_type(blob.media_type));
      content.layers.push_back({blob, {}});
      content.layers.back().blob.annotations.clear();
    }
    POUCH_ASSIGN_OR_RETURN(std::string config, config_text());
    POUCH_RETURN_IF_ERROR(set_config(std::move(config), kOciConfigType, limits_, content));
    if (!target_.content.config.media_type.empty())
      content.config.media_type = target_.content.config.media_type;
    return content;
  }

  static Status check_layer_type(const std::string& type) {
    if (type.find("layer.v1.tar") != std::string::npos || type.find("rootfs.diff.tar") != std::string::npos)
      return {};
    return not_implemented("a layer has the media type " + quote(type));
  }

  Result<std::string> config_text() {
    const ctrd::Descriptor& config = target_.content.config;
    if (static_cast<uint64_t>(config.size) > limits_.max_json_bytes) {
      return Status(Code::kResourceExhausted, "the image config has " + std::to_string(config.size) +
                                                  " bytes, more than " +
                                                  std::to_string(limits_.max_json_bytes));
    }
    if (auto stored = leased_->content().read_all(call_, config.digest, limits_.max_json_bytes);
        stored.is_ok()) {
      return stored;
    }
    std::string text;
    POUCH_RETURN_IF_ERROR(
        source_.fetch_blob(call_, config.digest, config.size, 0, [&text](std::string_view bytes) {
          text += bytes;
          return Status();
        }));
    return text;
  }

  Result<std::optional<Digest>> known_as() {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context_.db->read());
    return find_name(session, target_.name.str());
  }

  Result<bool> knows(const Digest& id) {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const std::optional<ImageRow> row, find_image(session, id));
    return row.has_value();
  }

  EngineContext& context_;
  const Call& call_;
  std::shared_ptr<ctrd::Client> leased_;
  PullSource& source_;
  const PullTarget& target_;
  Progress& progress_;
  const ImageLimits& limits_;
};

// Another try would end in the same way; and where space is short, nothing waits for one.
bool is_in_vain(Code code) {
  return code == Code::kInvalidArgument || code == Code::kDataLoss || code == Code::kNotImplemented ||
         code == Code::kResourceExhausted;
}

// Of all tags there is one word about the repository.
void tell_end(const std::vector<PullTarget>& targets, const api::ImagePullResult& result, Progress& progress,
              bool all_tags) {
  const bool is_new =
      std::any_of(result.images.begin(), result.images.end(), [](const auto& image) { return image.is_new; });
  const Reference& name = targets.front().name;
  progress.note("", (is_new ? "Status: Downloaded newer image for " : "Status: Image is up to date for ") +
                        (all_tags ? name.familiar_repository() : name.familiar()));
}

}  // namespace

Result<api::ImagePullResult> pull_images(EngineContext& context, const Call& call, PullSource& source,
                                         const std::vector<PullTarget>& targets, bool all_tags,
                                         Progress& progress, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  release_kept(*client, call, /*all=*/false).status().ignore();
  api::ImagePullResult result;
  for (const PullTarget& target : targets) {
    POUCH_ASSIGN_OR_RETURN(ctrd::HeldLease lease, hold_import_lease(context, client, call));
    auto pulled = Pull(context, call, lease.client(), source, target, progress, limits).run();
    if (!pulled.is_ok()) {
      if (is_in_vain(pulled.code())) release_blobs(*lease.client(), settled(call), target.content.layers);
      // What it has stored goes now, not some time later, but for blobs that are whole.
      lease.end(settled(call), /*sync=*/true).ignore();
      return pulled.status();
    }
    result.images.push_back(std::move(*pulled));
  }
  tell_end(targets, result, progress, all_tags);
  return result;
}

}  // namespace pouch::image
