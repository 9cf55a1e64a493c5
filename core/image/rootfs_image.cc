#include "core/image/rootfs_image.h"

#include <memory>
#include <utility>

#include "core/base/id.h"
#include "core/image/archive_images.h"
#include "core/image/content_sink.h"
#include "core/image/layer_blobs.h"
#include "core/image/tar_reader.h"

namespace pouch::image {
namespace {

// The one layer as a blob of the content store.
Result<ImageLayer> make_layer(const Call& call, const std::shared_ptr<ctrd::Client>& leased,
                              const std::function<Status(TarWriter& layer)>& fill) {
  ContentSink sink(leased, call);
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<BlobSinkWriter> blob_writer, sink.create());
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<TarWriter> writer, TarWriter::create(std::move(blob_writer)));
  POUCH_RETURN_IF_ERROR(fill(*writer));
  POUCH_ASSIGN_OR_RETURN(const TarWriter::Blob blob, writer->finish());
  ImageLayer layer;
  layer.blob.media_type = kOciLayerType;
  layer.blob.digest = blob.digest;
  layer.blob.size = blob.size;
  layer.diff_id = blob.digest;
  return layer;
}

Result<ImportedImage> make_under_lease(EngineContext& context, const Call& call,
                                       const std::shared_ptr<ctrd::Client>& leased, const RootfsImage& wanted,
                                       const std::function<Status(TarWriter& layer)>& fill) {
  POUCH_ASSIGN_OR_RETURN(const ImageLayer layer, make_layer(call, leased, fill));
  ImageContent content;
  if (wanted.name) content.names.push_back(*wanted.name);
  content.layers.push_back(layer);
  content.facts = wanted.facts;
  content.facts.diff_ids = {layer.diff_id};
  content.config_json = make_image_config(content.facts, wanted.comment);
  set_documents(content);
  ImageImporter importer(context, leased);
  StoredBlobs blobs;
  POUCH_ASSIGN_OR_RETURN(ImportedImage image, importer.import(call, content, blobs));
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_RETURN_IF_ERROR(importer.record(settled(call), {image}, "import", /*with_tag_events=*/true).status());
  return image;
}

}  // namespace

void set_documents(ImageContent& content) {
  content.config.media_type = kOciConfigType;
  content.config.digest = Digest(sha256_digest(content.config_json));
  content.config.size = static_cast<int64_t>(content.config_json.size());
  content.manifest_json = make_manifest(content.config, content.layers);
  content.manifest.media_type = kOciManifestType;
  content.manifest.digest = Digest(sha256_digest(content.manifest_json));
  content.manifest.size = static_cast<int64_t>(content.manifest_json.size());
}

Result<ImportedImage> make_rootfs_image(EngineContext& context, const Call& call, const RootfsImage& wanted,
                                        const std::function<Status(TarWriter& layer)>& fill) {
  const Utf8Locale locale;
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  POUCH_ASSIGN_OR_RETURN(ctrd::HeldLease lease, hold_import_lease(context, client, call));
  auto image = make_under_lease(context, call, lease.client(), wanted, fill);
  // What a failed import has stored goes now, not some time later.
  if (!image.is_ok()) lease.end(settled(call), /*sync=*/true).ignore();
  return image;
}

}  // namespace pouch::image
