#include "core/image/image_importer.h"

#include "core/base/log.h"
#include "core/ctrd/content.h"
#include "core/ctrd/images.h"
#include "core/ctrd/snapshots.h"
#include "core/events/event_log.h"
#include "core/image/image_records.h"
#include "core/image/image_sweep.h"
#include "core/image/layer_importer.h"
#include "core/image/owed_removals.h"

namespace pouch::image {
namespace {

constexpr int64_t kCleanUpMs = 10'000;
// containerd's garbage collector follows labels of this form from blob to blob.
constexpr const char* kConfigRefLabel = "containerd.io/gc.ref.content.config";
constexpr const char* kLayerRefLabel = "containerd.io/gc.ref.content.l.";
constexpr const char* kSnapshotRefLabel = "containerd.io/gc.ref.snapshot.";

// An empty label value means "remove" in updates.
std::string root_label(const EngineContext& context) {
  return context.root_id.empty() ? "system" : context.root_id;
}

ctrd::Labels labels_of(const ImageContent& content) {
  std::vector<Digest> layers;
  for (const ImageLayer& layer : content.layers) layers.push_back(layer.blob.digest);
  return manifest_labels(content.config.digest, layers);
}

// A crashed import holds disk space for so long. Longer than any import takes.
constexpr Duration kLeaseLife{int64_t{24} * 3600 * 1'000'000'000};
constexpr int64_t kSettleMs = 60'000;

}  // namespace

ctrd::Labels manifest_labels(const Digest& config, const std::vector<Digest>& layers) {
  ctrd::Labels labels{{kConfigRefLabel, config.str()}};
  for (size_t i = 0; i < layers.size(); ++i) labels[kLayerRefLabel + std::to_string(i)] = layers[i].str();
  return labels;
}

std::string ingest_ref() {
  return "pouch-" + random_hex(8);
}

Result<ctrd::HeldLease> hold_import_lease(const EngineContext& context,
                                          const std::shared_ptr<ctrd::Client>& client, const Call& call) {
  sweep_left_behind(context, client, call).ignore();
  return hold_reading_lease(context, client, call);
}

Result<ctrd::HeldLease> hold_reading_lease(const EngineContext& context,
                                           const std::shared_ptr<ctrd::Client>& client, const Call& call) {
  return ctrd::HeldLease::create(
      call, client, kLeaseLife,
      {{"pouch.root", root_label(context)}, {kOwnerLabel, context.owner_token}, {kPurposeLabel, kPurpose}});
}

Call settled(const Call& call) {
  Call out;
  out.deadline = Deadline::after_ms(kSettleMs);
  out.request_id = call.request_id;
  out.session = call.session;
  return out;
}

ctrd::ImageRecord image_record(const EngineContext& context, const std::string& name,
                               const ctrd::Descriptor& target) {
  ctrd::ImageRecord record;
  record.name = name;
  record.labels = {{"pouch.root", root_label(context)}, {kOwnerLabel, context.owner_token}};
  record.target = target;
  return record;
}

Status append_image_event(const EngineContext& context, store::Transaction& transaction,
                          const std::string& action, const Digest& id, const std::string& name,
                          const ctrd::Labels& labels) {
  if (context.events == nullptr) return {};
  events::Event event;
  event.type = "image";
  event.action = action;
  event.actor_id = id.str();
  event.attributes = labels;
  event.attributes["name"] = name;
  return context.events->append(transaction, std::move(event)).status();
}

// Who imports the same layers meanwhile waits, and finds them. In the order of the chain, so that two never
// wait for each other. (A plain layer's blob may have the digest that its chain id is: another name.)
Result<std::vector<WorkLock>> ImageImporter::lock_missing(const Call& call,
                                                          const std::vector<ChainId>& chain) {
  size_t present = chain.size();
  for (; present > 0; --present) {
    const auto found =
        leased_->snapshots().stat(call, context_.options.snapshotter, chain[present - 1].str());
    if (found.is_ok()) break;
    if (found.code() != Code::kNotFound) return found.status();
  }
  std::vector<WorkLock> locks;
  for (size_t i = present; i < chain.size(); ++i) {
    const std::string id = chain[i].str();
    POUCH_ASSIGN_OR_RETURN(WorkLock lock,
                           WorkLock::acquire(context_, "unpack-" + id.substr(id.find(':') + 1), call));
    locks.push_back(std::move(lock));
  }
  return locks;
}

Result<ImportedImage> ImageImporter::import(const Call& call, const ImageContent& content,
                                            LayerBlobs& blobs) {
  const std::vector<ChainId> chain = chain_ids(content.facts.diff_ids);
  const std::string& snapshotter = context_.options.snapshotter;
  ImportedImage image;
  POUCH_ASSIGN_OR_RETURN(const std::vector<WorkLock> locks, lock_missing(call, chain));
  POUCH_ASSIGN_OR_RETURN(
      image.layers, LayerImporter(leased_, snapshotter, pins_).import(call, content.layers, chain, blobs));
  ctrd::Labels config_labels;
  if (!chain.empty()) config_labels[kSnapshotRefLabel + snapshotter] = chain.back().str();
  POUCH_RETURN_IF_ERROR(
      leased_->content().write_blob(call, ingest_ref(), content.config, content.config_json, config_labels));
  POUCH_RETURN_IF_ERROR(leased_->content().write_blob(call, ingest_ref(), content.manifest,
                                                      content.manifest_json, labels_of(content)));
  image.names = content.names;
  image.event_id = content.config.digest.str();
  image.event_name = image.event_id;
  if (content.facts.config && content.facts.config->labels) image.labels = *content.facts.config->labels;
  ImageRow& row = image.row;
  row.id = content.config.digest;
  row.config_json = content.config_json;
  row.manifest = content.manifest;
  if (!chain.empty()) row.chain_id = chain.back();
  row.snapshotter = snapshotter;
  for (const LayerRow& layer : image.layers) row.size += layer.size;
  row.architecture = content.facts.architecture;
  row.os = content.facts.os;
  row.created = content.facts.created;
  return image;
}

Result<std::vector<MovedName>> ImageImporter::record(const Call& call,
                                                     const std::vector<ImportedImage>& images,
                                                     const std::string& action, bool with_tag_events) {
  if (Status put = put_records(call, images); !put.is_ok()) {
    take_back(images);
    return put;
  }
  auto moved = commit(call, images, action, with_tag_events);
  if (!moved.is_ok()) take_back(images);
  return moved;
}

// One record under the image's id keeps it while it has no name; those under names are for `ctr` and its
// like.
Status ImageImporter::put_records(const Call& call, const std::vector<ImportedImage>& images) {
  for (const ImportedImage& image : images) {
    const ctrd::Descriptor& target = image.row.manifest;
    settle_removal(context_, image.row.id.str());
    for (const Reference& name : image.names) settle_removal(context_, name.str());
    POUCH_RETURN_IF_ERROR(
        leased_->images().put(call, image_record(context_, image.row.id.str(), target)).status());
    for (const Reference& name : image.names) {
      POUCH_RETURN_IF_ERROR(leased_->images().put(call, image_record(context_, name.str(), target)).status());
    }
  }
  return {};
}

Result<std::vector<MovedName>> ImageImporter::commit(const Call& call,
                                                     const std::vector<ImportedImage>& images,
                                                     const std::string& action, bool with_tag_events) {
  std::vector<MovedName> moved;
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  for (const ImportedImage& image : images) {
    const Digest& id = image.row.id;
    POUCH_RETURN_IF_ERROR(put_image(transaction, image.row, image.layers, call.session));
    for (const Reference& name : image.names) {
      POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> before,
                             put_name(transaction, name, id, image.row.manifest.digest, call.session));
      if (before) moved.push_back({name, *before});
      if (!with_tag_events) continue;
      POUCH_RETURN_IF_ERROR(
          append_image_event(context_, transaction, "tag", id, name.familiar(), image.labels));
    }
    POUCH_RETURN_IF_ERROR(append_image_event(context_, transaction, action, Digest(image.event_id),
                                             image.event_name, image.labels));
  }
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return moved;
}

// Puts containerd's records back to what the database says.
void ImageImporter::take_back(const std::vector<ImportedImage>& images) {
  Call call;
  call.deadline = Deadline::after_ms(kCleanUpMs);
  for (const ImportedImage& image : images)
    match_records(context_, *leased_, call, image.row.id, image.names);
}

}  // namespace pouch::image
