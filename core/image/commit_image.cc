#include "core/image/commit_image.h"

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/ctrd/diff.h"
#include "core/ctrd/leases.h"
#include "core/ctrd/snapshots.h"
#include "core/image/archive_images.h"
#include "core/image/image_importer.h"
#include "core/image/rootfs_image.h"
#include "core/image/stored_image.h"

namespace pouch::image {
namespace {

// Of a tar without entries: a step that changed nothing has no layer.
constexpr const char* kEmptyTar = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

// An OCI manifest has OCI's types.
std::string oci_layer_type(const std::string& type) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kDocker{
      {{"application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"},
       {"application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"}}};
  for (const auto& [docker, oci] : kDocker) {
    if (type == docker) return std::string(oci);
  }
  return type;
}

// What the container has written, as a plain layer.
Result<ctrd::Descriptor> make_diff(const ctrd::Client& leased, const Call& call, const CommitRequest& request,
                                   const ChainId& parent) {
  const ctrd::Snapshots& snapshots = leased.snapshots();
  const std::string key = "pouch-diff-" + random_hex(8);
  POUCH_ASSIGN_OR_RETURN(const std::vector<ctrd::Mount> lower,
                         snapshots.view(call, request.snapshotter, key, parent.str()));
  auto upper = snapshots.mounts(call, request.snapshotter, request.snapshot_key);
  auto diff = upper.is_ok() ? leased.diff().diff(call, lower, *upper, {kOciLayerType, ingest_ref(), {}})
                            : Result<ctrd::Descriptor>(upper.status());
  snapshots.remove(settled(call), request.snapshotter, key).ignore();  // the lease's end takes it anyway
  return diff;
}

std::string make_config(const StoredImage& parent, const CommitRequest& request, Timestamp now,
                        const std::optional<Digest>& layer) {
  const Result<Json> before = parse_json(parent.row.config_json);
  Json root = before.is_ok() ? *before : json_object();
  for (const char* old : {"container", "container_config", "docker_version", "comment", "id", "parent"})
    root.removeMember(old);
  root["created"] = now.to_rfc3339();
  if (!request.author.empty()) root["author"] = request.author;
  root["config"] = api::encode_value(to_image_config(request.config));
  if (layer) root["rootfs"]["diff_ids"].append(layer->str());
  Json step = json_object();
  step["created"] = now.to_rfc3339();
  if (!request.created_by.empty()) step["created_by"] = request.created_by;
  if (!request.author.empty()) step["author"] = request.author;
  if (!request.comment.empty()) step["comment"] = request.comment;
  if (!layer) step["empty_layer"] = true;
  if (!root["history"].isArray()) root["history"] = json_array();
  root["history"].append(std::move(step));
  return write_json(root);
}

Result<ImageContent> make_content(const StoredImage& parent, const CommitRequest& request,
                                  const ctrd::Descriptor& diff, const ImageLimits& limits) {
  ImageContent content;
  if (request.name) content.names.push_back(*request.name);
  for (size_t i = 0; i < parent.manifest.layers.size(); ++i) {
    ImageLayer layer{parent.manifest.layers[i], parent.facts.diff_ids.at(i)};
    layer.blob.media_type = oci_layer_type(layer.blob.media_type);
    content.layers.push_back(std::move(layer));
  }
  std::optional<Digest> added;
  if (diff.digest.str() != kEmptyTar) {
    added = diff.digest;
    ImageLayer layer{diff, diff.digest};
    layer.blob.media_type = kOciLayerType;
    layer.blob.annotations.clear();
    content.layers.push_back(std::move(layer));
  }
  content.config_json = make_config(parent, request, Timestamp::now(), added);
  POUCH_ASSIGN_OR_RETURN(content.facts, parse_image_config(content.config_json, limits));
  set_documents(content);
  return content;
}

Result<Digest> commit_under_lease(EngineContext& context, const Call& call,
                                  const std::shared_ptr<ctrd::Client>& leased, const CommitRequest& request,
                                  const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const StoredImage parent,
                         read_pinned_image(context, *leased, call, request.image, limits));
  if (parent.manifest.layers.size() != parent.facts.diff_ids.size())
    return Status(Code::kDataLoss,
                  "image " + request.image.str() + ": its manifest and config differ in layers");
  POUCH_ASSIGN_OR_RETURN(const ctrd::Descriptor diff, make_diff(*leased, call, request, parent.row.chain_id));
  POUCH_ASSIGN_OR_RETURN(const ImageContent content, make_content(parent, request, diff, limits));
  ImageImporter importer(context, leased);
  StoredBlobs blobs;
  POUCH_ASSIGN_OR_RETURN(ImportedImage image, importer.import(call, content, blobs));
  POUCH_RETURN_IF_ERROR(call.check());
  const Digest id = image.row.id;
  POUCH_RETURN_IF_ERROR(
      importer.record(settled(call), {std::move(image)}, "create", /*with_tag_events=*/true).status());
  return id;
}

}  // namespace

Result<Digest> commit_image(EngineContext& context, const Call& call, const CommitRequest& request,
                            const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  POUCH_ASSIGN_OR_RETURN(ctrd::HeldLease lease, hold_import_lease(context, client, call));
  auto id = commit_under_lease(context, call, lease.client(), request, limits);
  if (!id.is_ok()) lease.end(settled(call), /*sync=*/true).ignore();
  return id;
}

}  // namespace pouch::image
