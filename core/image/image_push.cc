#include "core/image/image_push.h"

#include <utility>

#include "core/ctrd/client.h"
#include "core/ctrd/leases.h"
#include "core/image/credentials.h"
#include "core/image/gzip_layers.h"
#include "core/image/image_importer.h"
#include "core/image/image_store.h"
#include "core/image/index_push.h"
#include "core/image/layer_uploads.h"
#include "core/image/stored_image.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

struct PushTarget {
  Reference name;  ///< with a tag
  Digest id;
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
    targets.push_back({reference, name.image_id});
  }
  if (!has_repository) {
    return not_found("An image does not exist locally with the tag: " + request.name.familiar_repository());
  }
  if (targets.empty()) return not_found("tag does not exist: " + request.name.familiar());
  return targets;
}

// As after a pull the image is known by what the registry calls it, too, unless it has lost the name
// meanwhile.
Status record_push(EngineContext& context, const Call& call, const Reference& name,
                   const StoredImage& image) {
  const ImageRow& row = image.row;
  const Reference by_digest = name.with_digest(row.manifest.digest);
  ctrd::Labels labels;
  if (image.facts.config && image.facts.config->labels) labels = *image.facts.config->labels;
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context.db->begin(store::Durability::kKept, call));
  POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> named, find_name(transaction, name.str()));
  if (named == row.id) {
    POUCH_RETURN_IF_ERROR(
        put_name(transaction, by_digest, row.id, row.manifest.digest, call.session).status());
  }
  POUCH_RETURN_IF_ERROR(append_image_event(context, transaction, "push", Digest(name.familiar()),
                                           name.familiar_repository(), labels));
  return transaction.commit();
}

Result<api::PushedImage> push_image(EngineContext& context, const Call& call,
                                    const std::shared_ptr<ctrd::Client>& leased,
                                    registry::Repository& repository, const PushRequest& request,
                                    const PushTarget& target, Progress& progress, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(StoredImage found, read_pinned_image(context, *leased, call, target.id, limits));
  POUCH_RETURN_IF_ERROR(check_platform(found.facts, request.platform, target.name.familiar()));
  POUCH_ASSIGN_OR_RETURN(const StoredImage image,
                         gzip_layers(context, call, leased, std::move(found), progress));
  POUCH_RETURN_IF_ERROR(LayerUploads(*leased, repository, target.name, call, image, progress).run());
  POUCH_ASSIGN_OR_RETURN(
      const std::string digest,
      repository.put_manifest(call, target.name.tag(), image.row.manifest.media_type, image.manifest_json));
  POUCH_RETURN_IF_ERROR(record_push(context, settled(call), target.name, image));
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
  std::vector<std::string> index = options.index.value_or(std::vector<std::string>());
  if (all_tags && !index.empty()) return invalid_argument("all-tags: an index has one tag");
  return PushRequest{std::move(reference), all_tags, std::move(platform), std::move(index),
                     std::move(credentials)};
}

Result<api::ImagePushResult> push_images(EngineContext& context, const Call& call,
                                         registry::Repository& repository, const PushRequest& request,
                                         Progress& progress, const ImageLimits& limits) {
  progress.note("", "The push refers to repository [" + request.name.repository() + "]");
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  // Whoever removes an image meanwhile, it is pushed whole.
  POUCH_ASSIGN_OR_RETURN(const ctrd::HeldLease lease, hold_import_lease(context, client, call));
  api::ImagePushResult result;
  if (!request.index.empty()) {
    POUCH_ASSIGN_OR_RETURN(api::PushedImage pushed,
                           push_index(context, call, lease.client(), repository, request, progress, limits));
    result.images.push_back(std::move(pushed));
    return result;
  }
  POUCH_ASSIGN_OR_RETURN(const std::vector<PushTarget> targets, find_targets(context, request));
  for (const PushTarget& target : targets) {
    auto pushed = push_image(context, call, lease.client(), repository, request, target, progress, limits);
    if (!pushed.is_ok()) return pushed.status();
    result.images.push_back(std::move(*pushed));
  }
  return result;
}

}  // namespace pouch::image
