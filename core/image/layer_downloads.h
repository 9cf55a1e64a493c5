#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/image/archive_images.h"
#include "core/image/layer_blobs.h"
#include "core/image/progress.h"
#include "core/image/pull_source.h"
#include "core/registry/reference.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// Gets the blobs of layers from where the image is pulled from into the content store, a few at a time and
/// lowest first, while those that are there are unpacked. For one thread; has threads of its own.
class LayerDownloads final : public LayerBlobs {
 public:
  /// All must outlive it. `client` is under a lease.
  LayerDownloads(const EngineContext& context, std::shared_ptr<ctrd::Client> client, PullSource& source,
                 const Call& call, const std::vector<ImageLayer>& layers, Progress& progress);
  /// Says nothing of layers that are there, as when all of the image is.
  void hush() { is_hushed_ = true; }
  /// Ends what still runs, and takes away what it has of unfinished blobs.
  ~LayerDownloads() override;
  LayerDownloads(const LayerDownloads&) = delete;
  LayerDownloads& operator=(const LayerDownloads&) = delete;

  Status begin(size_t first) override;
  Status wait(size_t layer) override;
  void unpacking(size_t layer) override;
  void unpacked(size_t layer) override;

 private:
  void work();
  std::optional<size_t> take_next();
  Status fetch(const ImageLayer& layer);
  Status download(const ImageLayer& layer, const std::string& ref);
  void finish(size_t layer, Status status);

  const EngineContext& context_;
  std::shared_ptr<ctrd::Client> client_;
  PullSource& source_;
  const Call& call_;
  Call work_call_;  ///< the caller's, and cancelled when a layer fails
  int forward_ = 0;
  bool is_hushed_ = false;
  const std::vector<ImageLayer>& layers_;
  Progress& progress_;
  std::vector<size_t> wanted_;  ///< those that are not here, lowest first; set by begin()
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Below protected by mutex_.
  size_t next_ = 0;  ///< in wanted_
  std::vector<std::optional<Status>> done_;
};

}  // namespace pouch::image
