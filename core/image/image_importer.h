#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/ctrd/leases.h"
#include "core/image/archive_images.h"
#include "core/image/image_store.h"
#include "core/image/layer_blobs.h"
#include "core/image/layer_importer.h"
#include "core/image/work_lock.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// An image whose content is stored and unpacked, and is not yet known to anybody.
struct ImportedImage {
  ImageRow row;
  std::vector<LayerRow> layers;
  std::vector<Reference> names;
  ctrd::Labels labels;  ///< of the image's config, for events
  // What the event of its coming calls it; a pull's has the name in both.
  std::string event_id;
  std::string event_name;
};

/// A name that moved away from another image.
struct MovedName {
  Reference name;
  Digest before;
};

/// The common end of load, from_rootfs (and pull): from blobs in the content store to an image with names.
class ImageImporter {
 public:
  /// `leased` must be under a lease that lives until record() has returned.
  ImageImporter(EngineContext& context, std::shared_ptr<ctrd::Client> leased)
      : context_(context), leased_(std::move(leased)), pins_(leased_, context.options.snapshotter) {}

  /// Unpacks the layers as their blobs come, stores config and manifest with the references that the garbage
  /// collector follows.
  Result<ImportedImage> import(const Call& call, const ImageContent& content, LayerBlobs& blobs);

  /// Makes the images and their names known: containerd's image records first, then one kept transaction with
  /// the events ("tag" for each name where `with_tag_events`, `action` for each image). All or none.
  Result<std::vector<MovedName>> record(const Call& call, const std::vector<ImportedImage>& images,
                                        const std::string& action, bool with_tag_events);

 private:
  Result<std::vector<WorkLock>> lock_missing(const Call& call, const std::vector<ChainId>& chain);
  Status put_records(const Call& call, const std::vector<ImportedImage>& images);
  Result<std::vector<MovedName>> commit(const Call& call, const std::vector<ImportedImage>& images,
                                        const std::string& action, bool with_tag_events);
  void take_back(const std::vector<ImportedImage>& images);

  EngineContext& context_;
  std::shared_ptr<ctrd::Client> leased_;
  LayerPins pins_;
};

/// Labels of what we make in containerd: which engine made it (EngineContext::owner_token), and what a lease
/// is for.
inline constexpr const char* kOwnerLabel = "pouch.owner";
inline constexpr const char* kPurposeLabel = "pouch.for";
inline constexpr const char* kPurpose = "image";

/// What the collector follows from a manifest.
ctrd::Labels manifest_labels(const Digest& config, const std::vector<Digest>& layers);
/// A name for writing a blob that nobody else uses: with a shared one containerd makes equal imports wait for
/// each other for seconds, while what is there already is found by its digest anyway.
std::string ingest_ref();
/// A lease for one load, import, pull or push, after a sweep of what dead engines left. Its end lets the
/// collector take what was not recorded.
Result<ctrd::HeldLease> hold_import_lease(const EngineContext& context,
                                          const std::shared_ptr<ctrd::Client>& client, const Call& call);
/// The same without the sweep, for what only reads.
Result<ctrd::HeldLease> hold_reading_lease(const EngineContext& context,
                                           const std::shared_ptr<ctrd::Client>& client, const Call& call);
/// The same call for what must come to its end once begun: without the caller's cancel token, at most a
/// minute.
Call settled(const Call& call);

/// containerd's record of an image under one of its names, or under its id.
ctrd::ImageRecord image_record(const EngineContext& context, const std::string& name,
                               const ctrd::Descriptor& target);
/// Adds an event about an image to a transaction; `name` is what it is called there.
Status append_image_event(const EngineContext& context, store::Transaction& transaction,
                          const std::string& action, const Digest& id, const std::string& name,
                          const ctrd::Labels& labels);

}  // namespace pouch::image
