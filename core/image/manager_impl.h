#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>

#include "core/base/executor.h"
#include "core/image/byte_source.h"
#include "core/image/image_copy.h"
#include "core/image/image_manager.h"
#include "core/image/image_users.h"
#include "core/image/limits.h"
#include "core/image/registry_access.h"
#include "core/registry/client.h"
#include "core/store/engine_context.h"

namespace pouch {

struct ImageManager::Impl {
  explicit Impl(EngineContext& engine) : context(engine) {}

  EngineContext& context;
  ImageUsers* users = nullptr;
  image::ImageLimits limits;
  std::atomic<bool> closing{false};
  std::shared_mutex users_gate;  ///< shared while the users are asked
  image::RegistryAccess registries{context.options};

  image::DockerOpener open_docker;

  Result<std::unique_ptr<registry::Repository>> open_repository(
      const Reference& name, const std::optional<registry::Credentials>& credentials) {
    POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<registry::Client> client, registries.client());
    return client->open(name, credentials);
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
  static StreamPtr run_stream(const std::shared_ptr<Impl>& self, const Call& call, Work work,
                              QueuePolicy policy = QueuePolicy::kLatest) {
    auto pipe = std::make_shared<StreamPipe>(policy);
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

}  // namespace pouch
