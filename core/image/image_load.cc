#include "core/image/image_load.h"

#include <string>
#include <utility>
#include <vector>

#include "core/ctrd/content.h"
#include "core/ctrd/leases.h"
#include "core/image/archive_images.h"
#include "core/image/archive_stage.h"
#include "core/image/content_sink.h"
#include "core/image/image_importer.h"
#include "core/image/tar_reader.h"

namespace pouch::image {
namespace {

// Layers that were small enough to stay in memory until now.
Status store_small_layers(const ctrd::Client& client, const Call& call, const ArchiveStage& stage,
                          const ImageContent& image) {
  for (const ImageLayer& layer : image.layers) {
    const std::string* bytes = stage.bytes_of(layer.blob.digest);
    if (bytes == nullptr) continue;
    POUCH_RETURN_IF_ERROR(client.content().write_blob(call, ingest_ref(), layer.blob, *bytes));
  }
  return {};
}

void tell_moved(const std::vector<MovedName>& moved, Progress& progress) {
  for (const MovedName& name : moved) {
    progress.line("The image " + name.name.familiar() + " already exists, renaming the old one with ID " +
                  name.before.str() + " to empty string");
  }
}

api::ImageLoadResult tell_loaded(const std::vector<ImportedImage>& images, Progress& progress) {
  api::ImageLoadResult result;
  for (const ImportedImage& image : images) {
    result.ids.push_back(image.row.id.str());
    for (const Reference& name : image.names) {
      result.references.push_back(name.familiar());
      progress.line("Loaded image: " + name.familiar());
    }
    if (image.names.empty()) progress.line("Loaded image ID: " + image.row.id.str());
  }
  return result;
}

Result<api::ImageLoadResult> load_under_lease(EngineContext& context, const Call& call,
                                              const std::shared_ptr<ctrd::Client>& client, ByteSource& source,
                                              const std::optional<api::Platform>& platform,
                                              Progress& progress, const ImageLimits& limits) {
  ContentSink sink(client, call);
  POUCH_ASSIGN_OR_RETURN(const ArchiveStage stage, ArchiveStage::read(source, sink, limits));
  POUCH_ASSIGN_OR_RETURN(const std::vector<ImageContent> contents, find_images(stage, platform, limits));
  ImageImporter importer(context, client);
  std::vector<ImportedImage> images;
  for (const ImageContent& content : contents) {
    progress.status(short_id(content.config.digest.str()),
                    "Loading " + std::to_string(content.layers.size()) + " layers");
    POUCH_RETURN_IF_ERROR(store_small_layers(*client, call, stage, content));
    StoredBlobs blobs;
    POUCH_ASSIGN_OR_RETURN(ImportedImage image, importer.import(call, content, blobs));
    images.push_back(std::move(image));
  }
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const std::vector<MovedName> moved,
                         importer.record(settled(call), images, "load", /*with_tag_events=*/false));
  tell_moved(moved, progress);
  return tell_loaded(images, progress);
}

}  // namespace

Result<api::ImageLoadResult> load_images(EngineContext& context, const Call& call, ByteSource& source,
                                         const std::optional<api::Platform>& platform, Progress& progress,
                                         const ImageLimits& limits) {
  const Utf8Locale locale;
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  POUCH_ASSIGN_OR_RETURN(ctrd::HeldLease lease, hold_import_lease(context, client, call));
  auto result = load_under_lease(context, call, lease.client(), source, platform, progress, limits);
  // What a failed load has stored goes now, not some time later.
  if (!result.is_ok()) lease.end(settled(call), /*sync=*/true).ignore();
  return result;
}

}  // namespace pouch::image
