#include "core/image/layer_importer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/ctrd/content.h"
#include "core/ctrd/diff.h"
#include "core/ctrd/snapshots.h"
#include "core/image/content_sink.h"
#include "core/image/layer_apply.h"
#include "core/image/layer_stage.h"

namespace pouch::image {
namespace {

constexpr int64_t kCleanUpMs = 10'000;
// containerd's name for the diff id that belongs to a compressed layer.
constexpr const char* kUncompressedLabel = "containerd.io/uncompressed";
// Tells snapshotters which layer an extraction is for.
constexpr const char* kSnapshotRefLabel = "containerd.io/snapshot.ref";

// containerd answers Unknown for a layer that is no tar; what it says tells the reason.
Status apply_error(const ImageLayer& layer, const Status& status) {
  const std::string context = "unpack layer " + layer.blob.digest.str();
  const std::string text = to_lower(status.message());
  static constexpr std::array<std::string_view, 7> kDamage{
      "unexpected eof", "archive/tar",  "gzip: invalid",     "corrupt",
      "flate:",         "magic number", "file name too long"};
  // What no tree can have; the words that stand for a link's target that is not there come last.
  static constexpr std::array<std::string_view, 9> kImpossible{
      "invalid archive",        "unhandled tar header", "too many links",
      "argument list too long", "invalid argument",     "not a directory",
      "is a directory",         "file exists",          ": link /"};
  const auto is_in = [&text](std::string_view sign) { return text.find(sign) != std::string::npos; };
  const bool is_unpacking = is_in("mount callback failed");  // it is mounted
  const bool is_layers_fault = std::any_of(kDamage.begin(), kDamage.end(), is_in) ||
                               (is_unpacking && std::any_of(kImpossible.begin(), kImpossible.end(), is_in));
  if (status.code() != Code::kInternal || !is_layers_fault) return status.prefix(context);
  return invalid_argument(status.message()).prefix(context + ": the layer is damaged");
}

// So that a power cut cannot leave an image that is known but has holes. Only where containerd's files are
// reachable by the same path; elsewhere containerd's own habits must do.
void sync_upper(const std::vector<ctrd::Mount>& mounts) {
  if (mounts.empty()) return;
  std::string folder = mounts.front().type == "bind" ? mounts.front().source : std::string();
  for (const std::string& option : mounts.front().options) {
    if (option.starts_with("upperdir=")) folder = option.substr(std::string_view("upperdir=").size());
  }
  if (folder.empty()) return;
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) ::syncfs(fd.get());
}

}  // namespace

LayerPins::~LayerPins() {
  Call call;
  call.deadline = Deadline::after_ms(kCleanUpMs);
  for (const std::string& key : keys_) client_->snapshots().remove(call, snapshotter_, key).ignore();
}

Result<bool> LayerPins::add(const Call& call, const ChainId& chain) {
  auto stat = client_->snapshots().stat(call, snapshotter_, chain.str());
  if (stat.code() == Code::kNotFound) return false;
  if (!stat.is_ok()) return stat.status();
  // Noted first: an answer that is lost may stand for a view that is there.
  keys_.push_back("pouch-pin-" + random_hex(8));
  auto view = client_->snapshots().view(call, snapshotter_, keys_.back(), chain.str());
  if (view.code() == Code::kNotFound) return false;
  if (!view.is_ok()) return view.status();
  return true;
}

Result<std::vector<LayerRow>> LayerImporter::import(const Call& call, const std::vector<ImageLayer>& layers,
                                                    const std::vector<ChainId>& chain, LayerBlobs& blobs) {
  POUCH_ASSIGN_OR_RETURN(const size_t present, count_present(call, chain));
  POUCH_RETURN_IF_ERROR(blobs.begin(present));
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<LayerStage> stage, stage_layers(call, layers, present, blobs));
  std::vector<LayerRow> rows;
  for (size_t i = 0; i < layers.size(); ++i) {
    POUCH_RETURN_IF_ERROR(blobs.wait(i));
    if (i < present) {
      POUCH_RETURN_IF_ERROR(verify_present(call, layers[i]));
    } else {
      const std::string parent = i == 0 ? std::string() : chain[i - 1].str();
      if (!stage) blobs.unpacking(i);
      const auto fill = [&](const std::vector<ctrd::Mount>& mounts) -> Status {
        Result<bool> is_done = false;
        if (stage) is_done = stage->move_into(call, i, mounts);
        if (!is_done.is_ok()) return is_done.status();
        return *is_done ? Status() : apply(call, layers[i], mounts);
      };
      POUCH_RETURN_IF_ERROR(make_snapshot(call, layers[i], parent, chain[i], fill));
      blobs.unpacked(i);
    }
    POUCH_ASSIGN_OR_RETURN(const ctrd::SnapshotUsage usage,
                           client_->snapshots().usage(call, snapshotter_, chain[i].str()));
    rows.push_back({chain[i], layers[i].blob.digest, usage.size});
  }
  return rows;
}

Result<size_t> LayerImporter::count_present(const Call& call, const std::vector<ChainId>& chain) {
  for (size_t count = chain.size(); count > 0; --count) {
    POUCH_ASSIGN_OR_RETURN(const bool is_present, pins_.add(call, chain[count - 1]));
    if (is_present) return count;
  }
  return size_t{0};
}

// In place where we see the folders that containerd does: it takes half the time and less. Null: containerd
// must do it, layer by layer.
Result<std::unique_ptr<LayerStage>> LayerImporter::stage_layers(const Call& call,
                                                                const std::vector<ImageLayer>& layers,
                                                                size_t present, LayerBlobs& blobs) {
  if (present == layers.size()) return std::unique_ptr<LayerStage>();
  POUCH_ASSIGN_OR_RETURN(const bool is_possible, LayerStage::is_possible(*client_, snapshotter_, call));
  if (!is_possible) return std::unique_ptr<LayerStage>();
  auto stage = std::make_unique<LayerStage>(*client_, snapshotter_, call, layers, present, blobs, limits_);
  POUCH_RETURN_IF_ERROR(stage->run());
  return stage;
}

Status LayerImporter::make_snapshot(
    const Call& call, const ImageLayer& layer, const std::string& parent, const ChainId& chain,
    const std::function<Status(const std::vector<ctrd::Mount>& mounts)>& fill) {
  const std::string key = "extract-" + random_hex(8) + " " + chain.str();
  auto mounts =
      client_->snapshots().prepare(call, snapshotter_, key, parent, {{kSnapshotRefLabel, chain.str()}});
  if (mounts.code() == Code::kAlreadyExists) return take_over(call, layer, chain);
  if (!mounts.is_ok()) return mounts.status();
  if (Status filled = fill(*mounts); !filled.is_ok()) {
    discard(key);
    return filled;
  }
  Status committed = client_->snapshots().commit(call, snapshotter_, chain.str(), key);
  if (committed.is_ok()) {
    return client_->content()
        .update_labels(call, layer.blob.digest, {{kUncompressedLabel, layer.diff_id.str()}})
        .status();
  }
  discard(key);
  return committed.code() == Code::kAlreadyExists ? take_over(call, layer, chain) : committed;
}

// Somebody else has unpacked the same layer meanwhile.
Status LayerImporter::take_over(const Call& call, const ImageLayer& layer, const ChainId& chain) {
  POUCH_ASSIGN_OR_RETURN(const bool is_present, pins_.add(call, chain));
  if (!is_present)
    return unavailable("layer " + layer.blob.digest.str() + " came and went while it was unpacked");
  return verify_present(call, layer);
}

Status LayerImporter::apply(const Call& call, const ImageLayer& layer,
                            const std::vector<ctrd::Mount>& mounts) {
  auto applied = client_->diff().apply(call, layer.blob, mounts);
  if (!applied.is_ok()) return apply_error(layer, applied.status());
  if (applied->digest != layer.diff_id) return diff_mismatch(layer, applied->digest);
  sync_upper(mounts);
  return {};
}

// The snapshot is there, but the blob that came may be another one than it was made of.
Status LayerImporter::verify_present(const Call& call, const ImageLayer& layer) {
  if (layer.blob.digest == layer.diff_id) return {};
  POUCH_ASSIGN_OR_RETURN(const ctrd::ContentInfo info, client_->content().info(call, layer.blob.digest));
  const auto known = info.labels.find(kUncompressedLabel);
  if (known != info.labels.end()) {
    return known->second == layer.diff_id.str() ? Status() : diff_mismatch(layer, Digest(known->second));
  }
  POUCH_ASSIGN_OR_RETURN(const Digest got,
                         uncompressed_digest(*client_, call, layer.blob.digest, limits_.max_layer_bytes));
  if (got != layer.diff_id) return diff_mismatch(layer, got);
  return client_->content()
      .update_labels(call, layer.blob.digest, {{kUncompressedLabel, layer.diff_id.str()}})
      .status();
}

void LayerImporter::discard(const std::string& key) {
  Call call;
  call.deadline = Deadline::after_ms(kCleanUpMs);
  client_->snapshots().remove(call, snapshotter_, key).ignore();  // the lease's end takes it anyway
}

}  // namespace pouch::image
