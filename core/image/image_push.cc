#include "core/image/image_push.h"

#include <utility>

#include "core/ctrd/client.h"
#include "core/ctrd/images.h"
#include "core/image/credentials.h"
#include "core/image/image_importer.h"
#include "core/image/image_store.h"
#include "core/image/layer_uploads.h"
#include "core/image/stored_image.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

struct PushTarget {
  Reference name;  ///< with a tag
  ImageRow row;
};

Result<std::vector<PushTarget>> find_targets(EngineContext& context, const PushRequest& request) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
  POUCH_ASSIGN_OR_RETURN(const std::vector<NameRow> names, all_names(session));
  std::vector<PushTarget> targets;
  bool has_repository = false;
  for (const NameRow& name : names) {
    const Reference& reference = name.reference;
    if (reference.repository() != request.name.repository()) continue;
    has_repository = true;
    const bool is_meant = reference.digest().empty() && (request.all_tags || reference == request.name);
    if (!is_meant) continue;
    POUCH_ASSIGN_OR_RETURN(const std::optional<ImageRow> row, find_image(session, name.image_id));
    if (row) targets.push_back({reference, *row});
  }
  if (!has_repository) {
    return not_found("An image does not exist locally with the tag: " + request.name.familiar_repository());
  }
  if (targets.empty()) return not_found("tag does not exist: " + request.name.familiar());
  return targets;
}

// As after a pull the image is known by what the registry calls it, too, unless it has lost the name
// meanwhile.
Status record_push(EngineContext& context, const Call& call, const PushTarget& target,
                   const StoredImage& image) {
  const Reference by_digest = target.name.with_digest(target.row.manifest.digest);
  ctrd::Labels labels;
  if (image.facts.config && image.facts.config->labels) labels = *image.facts.config->labels;
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context.db->begin(store::Durability::kKept, call));
  POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> named, find_name(transaction, target.name.str()));
  if (named == target.row.id) {
    POUCH_RETURN_IF_ERROR(
        put_name(transaction, by_digest, target.row.id, target.row.manifest.digest, call.session).status());
  }
  POUCH_RETURN_IF_ERROR(append_image_event(context, transaction, "push", Digest(target.name.familiar()),
                                           target.name.familiar_repository(), labels));
  return transaction.commit();
}

Result<api::PushedImage> push_image(EngineContext& context, const Call& call, const ctrd::Client& client,
                                    registry::Repository& repository, const PushRequest& request,
                                    const PushTarget& target, Progress& progress, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const StoredImage image, read_stored_image(client, call, target.row, limits));
  POUCH_RETURN_IF_ERROR(check_platform(image.facts, request.platform, target.name.familiar()));
  POUCH_RETURN_IF_ERROR(LayerUploads(client, repository, target.name, call, image, progress).run());
  POUCH_ASSIGN_OR_RETURN(
      const std::string digest,
      repository.put_manifest(call, target.name.tag(), target.row.manifest.media_type, image.manifest_json));
  POUCH_RETURN_IF_ERROR(record_push(context, settled(call), target, image));
  api::PushedImage out;
  out.reference = target.name.familiar();
  out.digest = digest;
  out.size = static_cast<int64_t>(image.manifest_json.size());
  progress.pushed(target.name.tag(), out.digest, out.size);
  return out;
}

}  // namespace

Result<PushRequest> parse_push(const std::string& name, const api::ImagePushOptions& options) {
  POUCH_ASSIGN_OR_RETURN(Reference reference, Reference::parse(name));
  const std::string tag = options.tag.value_or("");
  const bool all_tags = options.all_tags.value_or(false);
  if (!reference.digest().empty()) return invalid_argument("cannot push a digest reference");
  if (!tag.empty()) {
    if (!reference.is_name_only())
      return invalid_argument("tag: " + reference.familiar() + " has a tag already");
    POUCH_ASSIGN_OR_RETURN(reference, Reference::from_repo_and_tag(name, tag));
  }
  if (all_tags && !reference.is_name_only())
    return invalid_argument("all-tags: tag can't be used with --all-tags/-a");
  if (!all_tags) reference = reference.with_default_tag();
  POUCH_ASSIGN_OR_RETURN(std::optional<api::Platform> platform, parse_platform_option(options.platform));
  POUCH_ASSIGN_OR_RETURN(std::optional<registry::Credentials> credentials, credentials_of(options.auth));
  return PushRequest{std::move(reference), all_tags, std::move(platform), std::move(credentials)};
}

Result<api::ImagePushResult> push_images(EngineContext& context, const Call& call,
                                         registry::Repository& repository, const PushRequest& request,
                                         Progress& progress, const ImageLimits& limits) {
  progress.note("", "The push refers to repository [" + request.name.repository() + "]");
  POUCH_ASSIGN_OR_RETURN(const std::vector<PushTarget> targets, find_targets(context, request));
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  api::ImagePushResult result;
  for (const PushTarget& target : targets) {
    auto pushed = push_image(context, call, *client, repository, request, target, progress, limits);
    if (!pushed.is_ok()) return pushed.status();
    result.images.push_back(std::move(*pushed));
  }
  return result;
}

}  // namespace pouch::image
