#include "core/image/layer_stage.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/executor.h"
#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/ctrd/snapshots.h"

namespace pouch::image {
namespace {

// Each has a thread that inflates and one that writes files; the files are what takes the time.
constexpr size_t kAtOnce = 2;
constexpr int64_t kCleanUpMs = 10'000;

void discard(const ctrd::Client& client, const std::string& snapshotter, const std::string& key) {
  Call call;
  call.deadline = Deadline::after_ms(kCleanUpMs);
  client.snapshots().remove(call, snapshotter, key).ignore();  // the lease's end takes it anyway
}

}  // namespace

LayerStage::LayerStage(const ctrd::Client& client, std::string snapshotter, const Call& call,
                       const std::vector<ImageLayer>& layers, size_t first, LayerBlobs& blobs,
                       const ImageLimits& limits)
    : client_(client),
      snapshotter_(std::move(snapshotter)),
      call_(call),
      work_call_(call),
      layers_(layers),
      first_(first),
      blobs_(blobs),
      limits_(limits),
      staged_(layers.size()),
      next_(first) {
  work_call_.cancel = std::make_shared<CancelToken>();
  if (call_.cancel) forward_ = call_.cancel->add([token = work_call_.cancel] { token->fire(); });
}

LayerStage::~LayerStage() {
  if (call_.cancel) call_.cancel->remove(forward_);
  for (const Staged& one : staged_) {
    if (!one.key.empty()) discard(client_, snapshotter_, one.key);
  }
}

Result<bool> LayerStage::is_possible(const ctrd::Client& client, const std::string& snapshotter,
                                     const Call& call) {
  const std::string key = "pouch-probe-" + random_hex(8);
  POUCH_ASSIGN_OR_RETURN(const std::vector<ctrd::Mount> mounts,
                         client.snapshots().prepare(call, snapshotter, key, ""));
  Result<bool> answer = false;
  if (const std::optional<OverlayFolders> folders = overlay_folders(mounts, /*is_lowest=*/true))
    answer = shares_folders(client, call, snapshotter, key, *folders);
  discard(client, snapshotter, key);
  return answer;
}

Status LayerStage::run() {
  std::vector<std::thread> threads;
  const size_t count = std::min(kAtOnce, layers_.size() - first_);
  for (size_t i = 1; i < count; ++i) threads.push_back(start_thread([this] { work(); }));
  work();
  for (std::thread& thread : threads) thread.join();
  {
    const std::lock_guard lock(mutex_);
    POUCH_RETURN_IF_ERROR(status_);
  }
  // So that a power cut cannot leave a layer that is known but has holes.
  for (const Staged& one : staged_) {
    if (!one.layer) continue;
    const UniqueFd fd(::open(one.layer->folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.is_valid()) ::syncfs(fd.get());
    break;  // they are on one file system
  }
  return {};
}

void LayerStage::work() {
  while (const std::optional<size_t> layer = take_next()) finish(stage(*layer));
}

std::optional<size_t> LayerStage::take_next() {
  const std::lock_guard lock(mutex_);
  if (!status_.is_ok() || next_ >= layers_.size()) return std::nullopt;
  return next_++;
}

void LayerStage::finish(const Status& status) {
  if (status.is_ok()) return;
  {
    const std::lock_guard lock(mutex_);
    if (status_.is_ok()) status_ = status;
  }
  work_call_.cancel->fire();
}

Status LayerStage::stage(size_t layer) {
  POUCH_RETURN_IF_ERROR(blobs_.wait(layer));
  blobs_.unpacking(layer);
  Staged& out = staged_[layer];
  const std::string key = "pouch-stage-" + random_hex(8);
  POUCH_ASSIGN_OR_RETURN(const std::vector<ctrd::Mount> mounts,
                         client_.snapshots().prepare(work_call_, snapshotter_, key, ""));
  out.key = key;
  const std::optional<OverlayFolders> folders = overlay_folders(mounts, /*is_lowest=*/true);
  if (!folders) return internal_error("the snapshotter's mounts have changed their kind");
  const ctrd::Descriptor& blob = layers_[layer].blob;
  return with_faults("image.stage", [&]() -> Status {
    auto staged = StagedLayer::unpack(client_, work_call_, blob, folders->upper, layer == 0, limits_);
    if (!staged.is_ok()) return staged.status().prefix("unpack layer " + blob.digest.str());
    if (staged->diff_id() != layers_[layer].diff_id) return diff_mismatch(layers_[layer], staged->diff_id());
    out.layer.emplace(std::move(*staged));
    return {};
  });
}

Result<bool> LayerStage::move_into(const Call& call, size_t layer, const std::vector<ctrd::Mount>& mounts) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::optional<OverlayFolders> folders = overlay_folders(mounts, layer == 0);
  Staged& one = staged_[layer];
  if (!one.layer) return internal_error("layer " + std::to_string(layer) + " was not unpacked");
  if (folders) {
    const Status moved = with_faults("image.move", [&] { return one.layer->move_into(*folders); });
    if (!moved.is_ok()) return moved.prefix("unpack layer " + layers_[layer].blob.digest.str());
  }
  discard(client_, snapshotter_, std::exchange(one.key, {}));
  return folders.has_value();
}

}  // namespace pouch::image
