#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/api/engine.gen.h"
#include "core/api/image.gen.h"
#include "core/api/stream.h"
#include "core/api/system.gen.h"
#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/container/image_lookup.h"
#include "core/image/image_users.h"

namespace pouch {

struct EngineContext;
namespace image {
struct ImportRequest;
}

/// All of image.* and system.login (core/api/engine.gen.h has the contract of each), on the root of the
/// context, and the container manager's view of images. Thread-safe. What changes something goes on at the
/// context's executor when its caller gives up; a load or import whose stream is cancelled or dropped before
/// its last byte came is undone.
class ImageManager final : public ImageLookup {
 public:
  /// The context must outlive the manager. Does nothing yet.
  explicit ImageManager(EngineContext& context);
  ~ImageManager() override;
  ImageManager(const ImageManager&) = delete;
  ImageManager& operator=(const ImageManager&) = delete;

  /// Who is asked before an image is removed; without it none is in use. Once, before the operations; must
  /// live until close().
  void set_users(ImageUsers* users);
  /// How to speak with a dockerd, before the first call.
  void set_docker(std::function<Result<std::unique_ptr<Engine>>(const std::string& uri)> open);
  /// Takes away what imports of engines that died half-way left in containerd. Waits for it some seconds at
  /// most.
  Status sweep();
  /// Whether containerd still has what it should have given up, because it was away then: the next sweep's
  /// work.
  bool owes_removals() const;
  /// After it returns the users are asked no more, and what still runs for callers who gave up ends with
  /// Closed where it can. The destructor does it too.
  void close();

  Result<api::DistributionInspect> distribution(const std::string& name,
                                                const api::ImageDistributionOptions& options,
                                                const Call& call);
  Result<StreamPtr> from_rootfs(const api::ImageFromRootfsOptions& options, const Call& call);
  Result<std::vector<api::ImageHistoryItem>> history(const std::string& name,
                                                     const api::ImageHistoryOptions& options,
                                                     const Call& call);
  Result<StreamPtr> copy_from(const api::ImageCopyFromOptions& options, const Call& call);
  Result<StreamPtr> import(const api::ImageImportTarOptions& options, const Call& call);
  Result<api::ImageInspect> inspect(const std::string& name, const api::ImageInspectOptions& options,
                                    const Call& call);
  Result<std::vector<api::ImageSummary>> list(const api::ImageListOptions& options, const Call& call);
  Result<StreamPtr> load(const api::ImageLoadOptions& options, const Call& call);
  Result<api::ImagePruneResult> prune(const api::ImagePruneOptions& options, const Call& call);
  Result<StreamPtr> pull(const api::ImagePullOptions& options, const Call& call);
  Result<StreamPtr> push(const std::string& name, const api::ImagePushOptions& options, const Call& call);
  Result<std::vector<api::ImageDeleteItem>> remove(const std::string& name,
                                                   const api::ImageRemoveOptions& options, const Call& call);
  Result<StreamPtr> save(const api::ImageSaveOptions& options, const Call& call);
  Status tag(const std::string& name, const api::ImageTagOptions& options, const Call& call);

  /// system.login.
  Result<api::LoginResult> login(const api::AuthConfig& account, const Call& call);

  // ImageLookup.
  Result<ImageForContainer> resolve(const std::string& reference, const Call& call) override;
  Result<Digest> commit(const CommitRequest& request, const Call& call) override;
  Result<StreamPtr> export_rootfs(const std::string& snapshotter, const std::string& key,
                                  const Call& call) override;
  Result<UniqueFd> open_rootfs(const std::string& snapshotter, const std::string& key,
                               const Call& call) override;
  Result<int64_t> unpacked_bytes(const Digest& id, const Call& call) override;

  /// Removes the names and images that the session has made (core/store/session_objects.h) and nobody else
  /// has made, too, or uses.
  Status remove_session(const std::string& session, const Call& call);
  /// For system.info: images, dangling ones included.
  Result<int64_t> count();
  /// For system.df: all images with their shared bytes and users, and the bytes of all layers.
  Result<std::vector<api::ImageSummary>> measure(const Call& call, int64_t& layers_size);
  /// The part of system.info that tells of registries and proxies.
  Status describe_registries(api::SystemInfo& out);

 private:
  struct Impl;
  Result<StreamPtr> import_url(const image::ImportRequest& request, const Call& call);

  std::shared_ptr<Impl> impl_;  ///< also held by loads under way
};

}  // namespace pouch
