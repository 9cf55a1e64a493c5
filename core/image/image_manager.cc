#include "core/image/image_manager.h"

#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>

#include "core/base/executor.h"
#include "core/ctrd/client.h"
#include "core/ctrd/images.h"
#include "core/ctrd/leases.h"
#include "core/image/image_config.h"
#include "core/image/image_history.h"
#include "core/image/image_importer.h"
#include "core/image/image_list.h"
#include "core/image/image_prune.h"
#include "core/image/image_remove.h"
#include "core/image/image_session.h"
#include "core/image/image_store.h"
#include "core/image/image_sweep.h"
#include "core/image/image_usage.h"
#include "core/image/manager_impl.h"
#include "core/image/owed_removals.h"
#include "core/image/stored_image.h"
#include "core/store/database.h"

namespace pouch {
namespace {

Status tag_image(EngineContext& context, const Call& call, const std::string& name,
                 const Reference& reference) {
  ctrd::Descriptor target;
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context.db->begin(store::Durability::kKept, call));
    POUCH_ASSIGN_OR_RETURN(const Digest id, image::resolve_image(transaction, name));
    POUCH_ASSIGN_OR_RETURN(const std::optional<image::ImageRow> row, image::find_image(transaction, id));
    if (!row) return not_found("No such image: " + name);
    target = row->manifest;
    POUCH_ASSIGN_OR_RETURN(const image::ImageConfigFacts facts,
                           image::parse_image_config(row->config_json, {}));
    ctrd::Labels labels;
    if (facts.config && facts.config->labels) labels = *facts.config->labels;
    POUCH_RETURN_IF_ERROR(image::put_name(transaction, reference, id, target.digest, call.session).status());
    POUCH_RETURN_IF_ERROR(
        image::append_image_event(context, transaction, "tag", id, reference.familiar(), labels));
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  // For `ctr` and its like only; the record under the id is what keeps the content.
  const Call rest = image::settled(call);
  auto client = context.ctrd(rest);
  image::settle_removal(context, reference.str());
  if (client.is_ok()) {
    (*client)->images().put(rest, image::image_record(context, reference.str(), target)).status().ignore();
  }
  return {};
}

}  // namespace

ImageManager::ImageManager(EngineContext& context) : impl_(std::make_shared<Impl>(context)) {}

ImageManager::~ImageManager() {
  close();
}

Status ImageManager::sweep() {
  constexpr int64_t kSweepMs = 5'000;
  Call call;
  call.deadline = Deadline::after_ms(kSweepMs);
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, impl_->context.ctrd(call));
  return image::sweep_left_behind(impl_->context, client, call);
}

bool ImageManager::owes_removals() const {
  return image::owes_removals(impl_->context) || ctrd::HeldLease::has_lost();
}

void ImageManager::close() {
  impl_->closing.store(true);
  const std::unique_lock wait_for_askers(impl_->users_gate);
}

void ImageManager::set_docker(image::DockerOpener open) {
  impl_->open_docker = std::move(open);
}

void ImageManager::set_users(ImageUsers* users) {
  impl_->users = users;
}

Result<api::ImageInspect> ImageManager::inspect(const std::string& name,
                                                const api::ImageInspectOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const std::optional<api::Platform> platform,
                         image::parse_platform_option(options.platform));
  const auto read = [&]() -> Result<api::ImageInspect> {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
    return image::inspect_image(session, name, platform);
  };
  POUCH_ASSIGN_OR_RETURN(api::ImageInspect out, read());
  if (!options.manifests.value_or(false)) return out;
  POUCH_ASSIGN_OR_RETURN(
      out.manifests, image::manifests_of(impl_->context, impl_->users, call, Digest(out.id), impl_->limits));
  return out;
}

Result<std::vector<api::ImageSummary>> ImageManager::list(const api::ImageListOptions& options,
                                                          const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const auto read = [&]() -> Result<std::vector<api::ImageSummary>> {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
    return image::list_images(session, options);
  };
  POUCH_ASSIGN_OR_RETURN(std::vector<api::ImageSummary> out, read());
  if (!options.manifests.value_or(false)) return out;
  for (api::ImageSummary& image : out) {
    auto manifests = image::manifests_of(impl_->context, impl_->users, call, Digest(image.id), impl_->limits);
    if (manifests.code() == Code::kNotFound) continue;  // removed meanwhile
    POUCH_ASSIGN_OR_RETURN(image.manifests, std::move(manifests));
  }
  return out;
}

Result<std::vector<api::ImageSummary>> ImageManager::measure(const Call& call, int64_t& layers_size) {
  POUCH_RETURN_IF_ERROR(call.check());
  api::ImageListOptions options;
  options.shared_size = true;
  std::vector<api::ImageSummary> out;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
    POUCH_ASSIGN_OR_RETURN(out, image::list_images(session, options));
    POUCH_ASSIGN_OR_RETURN(layers_size, image::layers_bytes(session));
  }
  POUCH_RETURN_IF_ERROR(image::count_users(impl_->users, out));
  return out;
}

Result<std::vector<api::ImageDeleteItem>> ImageManager::remove(const std::string& name,
                                                               const api::ImageRemoveOptions& options,
                                                               const Call& call) {
  using Items = Result<std::vector<api::ImageDeleteItem>>;
  if (options.platforms && !options.platforms->empty())
    return not_implemented("image remove: the option platforms");
  return run_detached<Items>(
      *impl_->context.executor, call,
      [impl = impl_, name, is_forced = options.force.value_or(false), call]() -> Items {
        const std::shared_lock gate(impl->users_gate);
        if (impl->closing.load()) return Status(Code::kClosed, "the engine was closed");
        return image::remove_by_name(impl->context, impl->users, call, name, is_forced);
      });
}

Result<std::vector<api::ImageHistoryItem>> ImageManager::history(const std::string& name,
                                                                 const api::ImageHistoryOptions& options,
                                                                 const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
  return image::image_history(session, name, options);
}

Result<api::ImagePruneResult> ImageManager::prune(const api::ImagePruneOptions& options, const Call& call) {
  using Answer = Result<api::ImagePruneResult>;
  return run_detached<Answer>(*impl_->context.executor, call, [impl = impl_, options, call]() -> Answer {
    const std::shared_lock gate(impl->users_gate);
    if (impl->closing.load()) return Status(Code::kClosed, "the engine was closed");
    return image::prune_images(impl->context, impl->users, call, options);
  });
}

Status ImageManager::tag(const std::string& name, const api::ImageTagOptions& options, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const Reference reference,
                         Reference::from_repo_and_tag(options.repo, options.tag.value_or("")));
  return run_detached<Status>(*impl_->context.executor, call, [impl = impl_, name, reference, call] {
    return tag_image(impl->context, call, name, reference);
  });
}

Result<ImageForContainer> ImageManager::resolve(const std::string& reference, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
  POUCH_ASSIGN_OR_RETURN(const Digest id, image::resolve_image(session, reference));
  POUCH_ASSIGN_OR_RETURN(const std::optional<image::ImageRow> row, image::find_image(session, id));
  if (!row) return not_found("No such image: " + reference);
  POUCH_ASSIGN_OR_RETURN(const image::ImageConfigFacts facts,
                         image::parse_image_config(row->config_json, impl_->limits));
  ImageForContainer out;
  out.id = id;
  out.reference = id.str();
  if (!image::is_id_prefix(reference, id)) {
    POUCH_ASSIGN_OR_RETURN(const Reference name, Reference::parse(reference));
    out.reference = name.with_default_tag().familiar();
  }
  out.chain_id = row->chain_id;
  if (facts.config) out.config = image::to_container_config(*facts.config);
  out.architecture = facts.architecture;
  out.os = facts.os;
  return out;
}

Result<int64_t> ImageManager::unpacked_bytes(const Digest& id, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
  POUCH_ASSIGN_OR_RETURN(const std::optional<image::ImageRow> row, image::find_image(session, id));
  if (!row) return not_found("No such image: " + id.str());
  return row->size;
}

Status ImageManager::remove_session(const std::string& session, const Call& call) {
  const std::shared_lock gate(impl_->users_gate);
  if (impl_->closing.load()) return {Code::kClosed, "the engine was closed"};
  return image::remove_session_images(impl_->context, impl_->users, call, session);
}

Status ImageManager::describe_registries(api::SystemInfo& out) {
  POUCH_ASSIGN_OR_RETURN(const registry::Settings settings, image::registry_settings(impl_->context.options));
  image::describe_registries(settings, out);
  return {};
}

Result<int64_t> ImageManager::count() {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
  return image::count_images(session);
}

}  // namespace pouch
