#include "core/image/image_manager.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>

#include "core/base/executor.h"
#include "core/ctrd/client.h"
#include "core/ctrd/images.h"
#include "core/image/byte_source.h"
#include "core/image/credential_helper.h"
#include "core/image/image_config.h"
#include "core/image/image_importer.h"
#include "core/image/image_list.h"
#include "core/image/image_load.h"
#include "core/image/image_pull.h"
#include "core/image/image_remove.h"
#include "core/image/image_rootfs.h"
#include "core/image/image_session.h"
#include "core/image/image_store.h"
#include "core/image/image_sweep.h"
#include "core/image/limits.h"
#include "core/image/progress.h"
#include "core/store/database.h"
#include "core/store/engine_context.h"

namespace pouch {
namespace {

Result<std::optional<api::Platform>> parse_platform(const std::optional<std::string>& text) {
  if (!text || text->empty()) return std::optional<api::Platform>();
  auto platform = api::parse_document<api::Platform>(*text);
  if (!platform.is_ok()) return platform.status().prefix("platform");
  return std::optional<api::Platform>(std::move(*platform));
}

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
  if (client.is_ok()) {
    (*client)->images().put(rest, image::image_record(context, reference.str(), target)).status().ignore();
  }
  return {};
}

}  // namespace

struct ImageManager::Impl {
  explicit Impl(EngineContext& engine) : context(engine) {}

  EngineContext& context;
  ImageUsers* users = nullptr;
  image::ImageLimits limits;
  std::atomic<bool> closing{false};
  std::shared_mutex users_gate;  ///< shared while the users are asked
  std::mutex registry_mutex;
  std::unique_ptr<registry::Client> registry_client;  ///< protected by registry_mutex

  /// Made at the first use; the same for all, so that tokens are.
  registry::Client& registry() {
    const std::lock_guard lock(registry_mutex);
    if (registry_client) return *registry_client;
    registry::Settings settings;
    settings.run_helper = image::run_credential_helper;
    registry_client = std::make_unique<registry::Client>(std::move(settings));
    return *registry_client;
  }

  using Work = std::function<Result<std::string>(const Call& call, const std::shared_ptr<StreamPipe>& pipe)>;
  using UploadWork = std::function<Result<std::string>(const Call& call, image::ByteSource& upload,
                                                       const std::shared_ptr<StreamPipe>& pipe)>;

  static StreamPtr run_upload(const std::shared_ptr<Impl>& self, const Call& call, UploadWork work) {
    return run_stream(
        self, call,
        [self, work = std::move(work)](const Call& inner, const std::shared_ptr<StreamPipe>& pipe) {
          image::UploadSource upload(pipe, self->closing);
          return work(inner, upload, pipe);
        });
  }

  /// Runs `work` on the executor behind a stream; a cancelled stream cancels its calls.
  static StreamPtr run_stream(const std::shared_ptr<Impl>& self, const Call& call, Work work) {
    auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kLatest);
    StreamPtr stream = pipe->open();
    self->context.executor->submit(
        [self, pipe, work = std::move(work), request = call.request_id, session = call.session] {
          Call inner;
          inner.cancel = std::make_shared<CancelToken>();
          inner.request_id = request;
          inner.session = session;
          // A consumer that is only gone lets the operation go on once all its bytes are there.
          pipe->on_cancel([weak = std::weak_ptr<StreamPipe>(pipe), token = inner.cancel] {
            const auto alive = weak.lock();
            if (alive && alive->is_cancelled()) token->fire();
          });
          pipe->finish(work(inner, pipe));
        });
    return stream;
  }
};

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

void ImageManager::close() {
  impl_->closing.store(true);
  const std::unique_lock wait_for_askers(impl_->users_gate);
}

void ImageManager::set_users(ImageUsers* users) {
  impl_->users = users;
}

Result<StreamPtr> ImageManager::from_rootfs(const api::ImageFromRootfsOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_RETURN_IF_ERROR(image::check_rootfs_options(options));
  return Impl::run_upload(
      impl_, call,
      [impl = impl_, options](const Call& inner, image::ByteSource& upload,
                              const std::shared_ptr<StreamPipe>& pipe) -> Result<std::string> {
        image::Progress progress(pipe, /*is_quiet=*/false);
        POUCH_ASSIGN_OR_RETURN(
            const api::ImageFromRootfsResult result,
            image::image_from_rootfs(impl->context, inner, options, upload, progress, impl->limits));
        return api::to_json_text(result);
      });
}

Result<StreamPtr> ImageManager::load(const api::ImageLoadOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const std::optional<api::Platform> platform, parse_platform(options.platform));
  return Impl::run_upload(impl_, call,
                          [impl = impl_, platform, is_quiet = options.quiet.value_or(false)](
                              const Call& inner, image::ByteSource& upload,
                              const std::shared_ptr<StreamPipe>& pipe) -> Result<std::string> {
                            image::Progress progress(pipe, is_quiet);
                            POUCH_ASSIGN_OR_RETURN(const api::ImageLoadResult result,
                                                   image::load_images(impl->context, inner, upload, platform,
                                                                      progress, impl->limits));
                            return api::to_json_text(result);
                          });
}

Result<StreamPtr> ImageManager::pull(const api::ImagePullOptions& options, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const image::PullRequest request, image::parse_pull(options));
  using Answer = Result<StreamPtr>;
  return run_detached<Answer>(*impl_->context.executor, call, [impl = impl_, request, call]() -> Answer {
    POUCH_ASSIGN_OR_RETURN(std::shared_ptr<registry::Repository> repository,
                           impl->registry().open(request.name, request.credentials));
    POUCH_ASSIGN_OR_RETURN(std::vector<image::PullTarget> targets,
                           image::resolve_targets(*repository, call, request, impl->limits));
    return Impl::run_stream(
        impl, call,
        [impl, repository, targets = std::move(targets), all_tags = request.all_tags](
            const Call& inner, const std::shared_ptr<StreamPipe>& pipe) -> Result<std::string> {
          image::Progress progress(pipe, /*is_quiet=*/false);
          POUCH_ASSIGN_OR_RETURN(const api::ImagePullResult result,
                                 image::pull_images(impl->context, inner, *repository, targets, all_tags,
                                                    progress, impl->limits));
          return api::to_json_text(result);
        });
  });
}

Result<api::ImageInspect> ImageManager::inspect(const std::string& name,
                                                const api::ImageInspectOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  if (options.manifests.value_or(false)) return not_implemented("image inspect: the option manifests");
  if (options.platform) return not_implemented("image inspect: the option platform");
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
  return image::inspect_image(session, name);
}

Result<std::vector<api::ImageSummary>> ImageManager::list(const api::ImageListOptions& options,
                                                          const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
  return image::list_images(session, options);
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

Result<int64_t> ImageManager::count() {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, impl_->context.db->read());
  return image::count_images(session);
}

}  // namespace pouch
