#include "core/image/image_rootfs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "core/base/text.h"
#include "core/image/archive_images.h"
#include "core/image/content_sink.h"
#include "core/image/image_importer.h"
#include "core/image/rootfs_tar.h"
#include "core/image/tar_reader.h"
#include "core/image/tar_writer.h"

namespace pouch::image {
namespace {

Result<Reference> image_name(const api::ImageFromRootfsOptions& options) {
  POUCH_ASSIGN_OR_RETURN(const Reference reference, Reference::parse(options.reference));
  if (!reference.digest().empty()) {
    return invalid_argument("reference: a new image cannot be named by a digest: " +
                            quote(options.reference));
  }
  return reference.with_default_tag();
}

Status copy_path(const Call& call, const std::string& path, TarWriter& layer, const ImageLimits& limits) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) return errno_status(errno, "open " + quote(path));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return errno_status(errno, "stat " + quote(path));
  if (S_ISDIR(info.st_mode)) {
    return copy_rootfs_folder(call, file.get(), layer, limits).prefix("folder " + quote(path));
  }
  if (!S_ISREG(info.st_mode))
    return invalid_argument("path: " + quote(path) + " is neither a folder nor a file");
  FileSource source(std::move(file));
  return copy_rootfs_tar(source, layer, limits).prefix("tar " + quote(path));
}

// The one layer as a blob of the content store.
Result<ImageLayer> make_layer(const Call& call, const std::shared_ptr<ctrd::Client>& leased,
                              const api::ImageFromRootfsOptions& options, ByteSource& upload,
                              const ImageLimits& limits) {
  ContentSink sink(leased, call);
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<BlobSinkWriter> blob_writer, sink.create());
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<TarWriter> writer, TarWriter::create(std::move(blob_writer)));
  POUCH_RETURN_IF_ERROR(options.path ? copy_path(call, *options.path, *writer, limits)
                                     : copy_rootfs_tar(upload, *writer, limits));
  POUCH_ASSIGN_OR_RETURN(const TarWriter::Blob blob, writer->finish());
  ImageLayer layer;
  layer.blob.media_type = kOciLayerType;
  layer.blob.digest = blob.digest;
  layer.blob.size = blob.size;
  layer.diff_id = blob.digest;
  return layer;
}

ImageConfigFacts new_facts(const api::ImageFromRootfsOptions& options, const Digest& diff_id) {
  ImageConfigFacts facts;
  facts.architecture = options.architecture.value_or(std::string(host_architecture()));
  facts.os = "linux";
  facts.created = Timestamp::now();
  api::ImageConfig& config = facts.config.emplace();
  config.cmd = options.cmd;
  config.entrypoint = options.entrypoint;
  config.env = options.env;
  config.working_dir = options.workingdir;
  config.user = options.user;
  config.labels = options.labels;
  facts.diff_ids = {diff_id};
  return facts;
}

Result<ImageContent> make_content(const api::ImageFromRootfsOptions& options, const ImageLayer& layer) {
  ImageContent content;
  POUCH_ASSIGN_OR_RETURN(Reference name, image_name(options));
  content.names.push_back(std::move(name));
  content.layers.push_back(layer);
  content.facts = new_facts(options, layer.diff_id);
  content.config_json = make_image_config(content.facts, "Imported from a root file system");
  content.config.media_type = kOciConfigType;
  content.config.digest = Digest(sha256_digest(content.config_json));
  content.config.size = static_cast<int64_t>(content.config_json.size());
  content.manifest_json = make_manifest(content.config, content.layers);
  content.manifest.media_type = kOciManifestType;
  content.manifest.digest = Digest(sha256_digest(content.manifest_json));
  content.manifest.size = static_cast<int64_t>(content.manifest_json.size());
  return content;
}

Result<ImportedImage> import_under_lease(EngineContext& context, const Call& call,
                                         const std::shared_ptr<ctrd::Client>& leased,
                                         const api::ImageFromRootfsOptions& options, ByteSource& upload,
                                         const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const ImageLayer layer, make_layer(call, leased, options, upload, limits));
  POUCH_ASSIGN_OR_RETURN(const ImageContent content, make_content(options, layer));
  ImageImporter importer(context, leased);
  StoredBlobs blobs;
  POUCH_ASSIGN_OR_RETURN(ImportedImage image, importer.import(call, content, blobs));
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_RETURN_IF_ERROR(importer.record(settled(call), {image}, "import", /*with_tag_events=*/true).status());
  return image;
}

}  // namespace

Status check_rootfs_options(const api::ImageFromRootfsOptions& options) {
  POUCH_RETURN_IF_ERROR(image_name(options).status());
  if (options.path && !options.path->starts_with('/')) {
    return invalid_argument("path: " + quote(*options.path) + " is not absolute");
  }
  if (options.workingdir && !options.workingdir->empty() && !options.workingdir->starts_with('/')) {
    return invalid_argument("workingdir: " + quote(*options.workingdir) + " is not absolute");
  }
  if (options.architecture && options.architecture->empty())
    return invalid_argument("architecture: it is empty");
  for (const std::string& variable : options.env.value_or(std::vector<std::string>())) {
    const size_t equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos || variable.find('\0') != std::string::npos) {
      return invalid_argument("env: a variable is not name=value");  // values may be secret
    }
  }
  return {};
}

Result<api::ImageFromRootfsResult> image_from_rootfs(EngineContext& context, const Call& call,
                                                     const api::ImageFromRootfsOptions& options,
                                                     ByteSource& upload, Progress& progress,
                                                     const ImageLimits& limits) {
  const Utf8Locale locale;
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  POUCH_ASSIGN_OR_RETURN(ctrd::HeldLease lease, hold_import_lease(context, client, call));
  auto image = import_under_lease(context, call, lease.client(), options, upload, limits);
  if (!image.is_ok()) {
    // What a failed import has stored goes now, not some time later.
    lease.end(settled(call), /*sync=*/true).ignore();
    return image.status();
  }
  api::ImageFromRootfsResult result;
  result.id = image->row.id.str();
  result.reference = image->names.front().familiar();
  progress.result(result.id);
  return result;
}

}  // namespace pouch::image
