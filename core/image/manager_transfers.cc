#include <optional>
#include <utility>
#include <vector>

#include "core/base/scope_guard.h"
#include "core/ctrd/client.h"
#include "core/ctrd/leases.h"
#include "core/ctrd/snapshots.h"
#include "core/image/commit_image.h"
#include "core/image/credentials.h"
#include "core/image/image_distribution.h"
#include "core/image/image_import.h"
#include "core/image/image_importer.h"
#include "core/image/image_load.h"
#include "core/image/image_manager.h"
#include "core/image/image_pull.h"
#include "core/image/image_push.h"
#include "core/image/image_rootfs.h"
#include "core/image/image_save.h"
#include "core/image/manager_impl.h"
#include "core/image/merged_rootfs.h"
#include "core/image/progress.h"
#include "core/image/stored_image.h"
#include "core/image/url_source.h"
#include "core/registry/url.h"

// What moves images: from and into archives, folders and registries.

namespace pouch {

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
  POUCH_ASSIGN_OR_RETURN(const std::optional<api::Platform> platform,
                         image::parse_platform_option(options.platform));
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
    POUCH_ASSIGN_OR_RETURN(std::unique_ptr<registry::Repository> repository,
                           impl->open_repository(request.name, request.credentials));
    const auto source = std::make_shared<image::RegistrySource>(request.name, std::move(repository));
    POUCH_ASSIGN_OR_RETURN(std::vector<image::PullTarget> targets,
                           image::resolve_targets(*source, call, request, impl->limits));
    return Impl::run_stream(
        impl, call,
        [impl, source, targets = std::move(targets), all_tags = request.all_tags](
            const Call& inner, const std::shared_ptr<StreamPipe>& pipe) -> Result<std::string> {
          image::Progress progress(pipe, /*is_quiet=*/false);
          POUCH_ASSIGN_OR_RETURN(
              const api::ImagePullResult result,
              image::pull_images(impl->context, inner, *source, targets, all_tags, progress, impl->limits));
          return api::to_json_text(result);
        });
  });
}

Result<StreamPtr> ImageManager::copy_from(const api::ImageCopyFromOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const image::CopyRequest request, image::parse_copy(options));
  return Impl::run_stream(
      impl_, call,
      [impl = impl_, request](const Call& inner,
                              const std::shared_ptr<StreamPipe>& pipe) -> Result<std::string> {
        image::Progress progress(pipe, /*is_quiet=*/false);
        POUCH_ASSIGN_OR_RETURN(
            const api::ImageLoadResult result,
            request.is_docker
                ? image::copy_from_docker(impl->context, impl->open_docker, inner, request, progress,
                                          impl->limits)
                : image::copy_from_containerd(impl->context, inner, request, progress, impl->limits));
        return api::to_json_text(result);
      });
}

namespace {

Result<std::string> import_from(EngineContext& context, const Call& call, const image::RootfsImage& wanted,
                                image::ByteSource& source, image::Progress& progress,
                                const image::ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const api::ImageImportResult result,
                         image::import_image(context, call, wanted, source, progress, limits));
  return api::to_json_text(result);
}

}  // namespace

Result<StreamPtr> ImageManager::import(const api::ImageImportTarOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const image::ImportRequest request, image::parse_import(options));
  if (!request.url.empty()) return import_url(request, call);
  return Impl::run_upload(
      impl_, call,
      [impl = impl_, wanted = request.wanted](const Call& inner, image::ByteSource& upload,
                                              const std::shared_ptr<StreamPipe>& pipe) {
        image::Progress progress(pipe, /*is_quiet=*/false);
        return import_from(impl->context, inner, wanted, upload, progress, impl->limits);
      });
}

Result<StreamPtr> ImageManager::import_url(const image::ImportRequest& request, const Call& call) {
  using Answer = Result<StreamPtr>;
  return run_detached<Answer>(*impl_->context.executor, call, [impl = impl_, request, call]() -> Answer {
    POUCH_ASSIGN_OR_RETURN(std::shared_ptr<registry::Client> client, impl->registries.client());
    POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<image::UrlSource> source,
                           image::UrlSource::open(call, std::move(client), request.url, impl->closing));
    return Impl::run_stream(
        impl, call, [impl, request, source](const Call& inner, const std::shared_ptr<StreamPipe>& pipe) {
          const int link = inner.cancel->add([source] { source->cancel(); });
          const ScopeGuard unlink([&] { inner.cancel->remove(link); });
          image::Progress progress(pipe, /*is_quiet=*/false);
          progress.note("", "Downloading from " + registry::without_account(request.url));
          source->tell(progress);
          return import_from(impl->context, inner, request.wanted, *source, progress, impl->limits);
        });
  });
}

Result<Digest> ImageManager::commit(const CommitRequest& request, const Call& call) {
  return image::commit_image(impl_->context, call, request, impl_->limits);
}

Result<UniqueFd> ImageManager::open_rootfs(const std::string& snapshotter, const std::string& key,
                                           const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, impl_->context.ctrd(call));
  POUCH_ASSIGN_OR_RETURN(const std::vector<ctrd::Mount> mounts,
                         client->snapshots().mounts(call, snapshotter, key));
  return image::open_merged_rootfs(mounts);
}

Result<StreamPtr> ImageManager::export_rootfs(const std::string& snapshotter, const std::string& key,
                                              const Call& call) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd folder, open_rootfs(snapshotter, key, call));
  const auto root = std::make_shared<const UniqueFd>(std::move(folder));
  return Impl::run_stream(
      impl_, call,
      [impl = impl_, root](const Call& inner,
                           const std::shared_ptr<StreamPipe>& pipe) -> Result<std::string> {
        POUCH_RETURN_IF_ERROR(image::export_folder(inner, root->get(), *pipe, impl->limits));
        return std::string();
      },
      QueuePolicy::kBlock);
}

Result<StreamPtr> ImageManager::push(const std::string& name, const api::ImagePushOptions& options,
                                     const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const image::PushRequest request, image::parse_push(name, options));
  POUCH_ASSIGN_OR_RETURN(std::shared_ptr<registry::Repository> repository,
                         impl_->open_repository(request.name, request.credentials));
  return Impl::run_stream(
      impl_, call,
      [impl = impl_, repository, request](const Call& inner,
                                          const std::shared_ptr<StreamPipe>& pipe) -> Result<std::string> {
        image::Progress progress(pipe, /*is_quiet=*/false);
        POUCH_ASSIGN_OR_RETURN(
            const api::ImagePushResult result,
            image::push_images(impl->context, inner, *repository, request, progress, impl->limits));
        return api::to_json_text(result);
      });
}

Result<StreamPtr> ImageManager::save(const api::ImageSaveOptions& options, const Call& call) {
  using Answer = Result<StreamPtr>;
  return run_detached<Answer>(*impl_->context.executor, call, [impl = impl_, options, call]() -> Answer {
    POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, impl->context.ctrd(call));
    POUCH_ASSIGN_OR_RETURN(ctrd::HeldLease held, image::hold_reading_lease(impl->context, client, call));
    const auto lease = std::make_shared<ctrd::HeldLease>(std::move(held));
    POUCH_ASSIGN_OR_RETURN(std::vector<image::SavedImage> found,
                           image::find_saved(impl->context, call, *lease->client(), options, impl->limits));
    const auto images = std::make_shared<const std::vector<image::SavedImage>>(std::move(found));
    return Impl::run_stream(
        impl, call,
        [impl, images, lease](const Call& inner,
                              const std::shared_ptr<StreamPipe>& pipe) -> Result<std::string> {
          Status saved = image::save_images(impl->context, inner, *images, *pipe);
          lease->end(image::settled(inner)).ignore();  // its expiry ends it anyway
          if (!saved.is_ok()) return saved;
          return std::string();
        },
        QueuePolicy::kBlock);
  });
}

Result<api::DistributionInspect> ImageManager::distribution(const std::string& name,
                                                            const api::ImageDistributionOptions& options,
                                                            const Call& call) {
  using Answer = Result<api::DistributionInspect>;
  POUCH_ASSIGN_OR_RETURN(const Reference parsed, Reference::parse(name));
  POUCH_ASSIGN_OR_RETURN(const std::optional<registry::Credentials> credentials,
                         image::credentials_of(options.auth));
  const Reference reference = parsed.with_default_tag();
  return run_detached<Answer>(*impl_->context.executor, call,
                              [impl = impl_, reference, credentials, call]() -> Answer {
                                POUCH_ASSIGN_OR_RETURN(std::unique_ptr<registry::Repository> repository,
                                                       impl->open_repository(reference, credentials));
                                image::RegistrySource source(reference, std::move(repository));
                                return image::inspect_distribution(source, call, reference, impl->limits);
                              });
}

Result<api::LoginResult> ImageManager::login(const api::AuthConfig& account, const Call& call) {
  using Answer = Result<api::LoginResult>;
  POUCH_ASSIGN_OR_RETURN(const std::optional<registry::Credentials> credentials,
                         image::credentials_of(account));
  if (!credentials) return invalid_argument("login: the account has neither user nor token");
  const std::string address = account.serveraddress.value_or("");
  const std::string registry = address.empty() ? "docker.io" : address;
  return run_detached<Answer>(
      *impl_->context.executor, call, [impl = impl_, registry, credentials, call]() -> Answer {
        POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<registry::Client> client, impl->registries.client());
        POUCH_ASSIGN_OR_RETURN(const registry::Credentials kept, client->login(call, registry, *credentials));
        return api::LoginResult{"Login Succeeded", kept.identity_token};
      });
}

}  // namespace pouch
