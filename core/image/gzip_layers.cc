#include "core/image/gzip_layers.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/api/json.h"
#include "core/base/sha256.h"
#include "core/ctrd/content.h"
#include "core/ctrd/images.h"
#include "core/image/content_sink.h"
#include "core/image/gzip_writer.h"
#include "core/image/image_importer.h"
#include "core/image/image_records.h"
#include "core/image/image_store.h"
#include "core/image/read_ahead.h"
#include "core/image/work_lock.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

constexpr int64_t kTellMs = 100;
constexpr const char* kUncompressedLabel = "containerd.io/uncompressed";  // containerd's: the diff id
constexpr const char* kOriginPrefix = "containerd.io/distribution.source.";
constexpr const char* kAsItIsLabel = "pouch.as-it-is";
// Of a plain layer: what it is compressed. Another image may have the layer, too.
constexpr const char* kGzipLabel = "pouch.gzip";
// Of a manifest that another is about to take the place of: keeps that.
constexpr const char* kNextLabel = "containerd.io/gc.ref.content.pouch-next";
// Of the record of an image whose manifest changes.
constexpr const char* kChangeLabel = "pouch.change";

constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kTypes{
    {{"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip"},
     {"application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip"}}};

// Empty: it is no plain tar.
std::string gzip_type(const std::string& plain) {
  for (const auto& [from, to] : kTypes) {
    if (plain == from) return std::string(to);
  }
  return {};
}

bool stays_as_it_is(const ctrd::ContentInfo& blob) {
  return blob.labels.contains(kAsItIsLabel) || std::ranges::any_of(blob.labels, [](const auto& label) {
           return label.first.starts_with(kOriginPrefix);
         });
}

/// The change of one image.
class Change {
 public:
  Change(EngineContext& context, const Call& call, const std::shared_ptr<ctrd::Client>& leased,
         const StoredImage& image, Progress& progress)
      : context_(context), call_(call), leased_(leased), image_(image), progress_(progress) {}

  /// Whether a layer has become another.
  Result<bool> compress() {
    layers_ = image_.manifest.layers;
    bool is_changed = false;
    for (ctrd::Descriptor& layer : layers_) {
      const std::string type = gzip_type(layer.media_type);
      if (type.empty()) continue;
      POUCH_ASSIGN_OR_RETURN(const ctrd::ContentInfo info, leased_->content().info(call_, layer.digest));
      if (stays_as_it_is(info)) continue;
      POUCH_ASSIGN_OR_RETURN(const Blob blob, compressed(layer));
      layer.media_type = type;
      layer.digest = blob.digest;
      layer.size = blob.size;
      is_changed = true;
    }
    return is_changed;
  }

  /// The image with its new manifest, which is stored and kept by the lease.
  Result<StoredImage> make_manifest() {
    POUCH_ASSIGN_OR_RETURN(Json root, parse_json(image_.manifest_json));
    for (size_t i = 0; i < layers_.size(); ++i) {
      Json& entry = root["layers"][static_cast<Json::ArrayIndex>(i)];
      entry["mediaType"] = layers_[i].media_type;
      entry["digest"] = layers_[i].digest.str();
      entry["size"] = static_cast<Json::Int64>(layers_[i].size);
    }
    StoredImage out = image_;
    out.manifest_json = write_json(root);
    out.manifest.layers = layers_;
    ctrd::Descriptor& manifest = out.row.manifest;
    manifest.digest = Digest(sha256_digest(out.manifest_json));
    manifest.size = static_cast<int64_t>(out.manifest_json.size());
    POUCH_RETURN_IF_ERROR(
        leased_->content().write_blob(call_, ingest_ref(), manifest, out.manifest_json,
                                      manifest_labels(out.manifest.config.digest, blobs())));
    return out;
  }

  // Whenever we die, one of the two manifests is what the database says, and the record keeps it: until the
  // commit the old one, which keeps the new one, too. The sweep ends what was begun.
  Status take_effect(const StoredImage& next) {
    const Digest& id = image_.row.id;
    POUCH_ASSIGN_OR_RETURN(
        const WorkLock lock,
        WorkLock::acquire(context_, "change-" + id.str().substr(id.str().find(':') + 1), call_));
    const Call call = settled(call_);
    POUCH_ASSIGN_OR_RETURN(const bool is_as_it_was, has_manifest(id, image_.row.manifest.digest));
    if (!is_as_it_was) return {};
    ctrd::ImageRecord record = image_record(context_, id.str(), image_.row.manifest);
    record.labels[kChangeLabel] = next.row.manifest.digest.str();
    POUCH_RETURN_IF_ERROR(leased_->images().put(call, record).status());
    Status done =
        leased_->content()
            .update_labels(call, image_.row.manifest.digest, {{kNextLabel, next.row.manifest.digest.str()}})
            .status();
    std::vector<Reference> names;
    if (done.is_ok()) done = commit(call, next, names);
    match_records(context_, *leased_, call, id, names);
    // Of an image that has another manifest the old one goes; of one that has not it must not keep the other.
    leased_->content().update_labels(call, image_.row.manifest.digest, {{kNextLabel, ""}}).status().ignore();
    return done;
  }

 private:
  using Blob = GzipWriter::Blob;

  std::vector<Digest> blobs() const {
    std::vector<Digest> out;
    for (const ctrd::Descriptor& layer : layers_) out.push_back(layer.digest);
    return out;
  }

  Result<bool> has_manifest(const Digest& id, const Digest& manifest) {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const std::optional<ImageRow> row, find_image(session, id));
    return row && row->manifest.digest == manifest;
  }

  Status commit(const Call& call, const StoredImage& next, std::vector<Reference>& names) {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kKept, call));
    POUCH_ASSIGN_OR_RETURN(const std::vector<NameRow> rows, names_of(transaction, image_.row.id));
    for (const NameRow& row : rows) names.push_back(row.reference);
    // An image that is gone or another meanwhile is left alone.
    POUCH_RETURN_IF_ERROR(
        swap_manifest(transaction, image_.row.id, image_.row.manifest.digest, next.row.manifest, blobs())
            .status());
    return transaction.commit();
  }

  // One blob is compressed once, however many images have it.
  Result<Blob> compressed(const ctrd::Descriptor& plain) {
    const std::string& digest = plain.digest.str();
    POUCH_ASSIGN_OR_RETURN(const WorkLock lock,
                           WorkLock::acquire(context_, "gzip-" + digest.substr(digest.find(':') + 1), call_));
    POUCH_ASSIGN_OR_RETURN(const std::optional<Blob> known, find_known(plain));
    if (known) return *known;
    POUCH_ASSIGN_OR_RETURN(const Blob made, make(plain));
    POUCH_RETURN_IF_ERROR(
        leased_->content().update_labels(call_, made.digest, {{kUncompressedLabel, digest}}).status());
    POUCH_RETURN_IF_ERROR(
        leased_->content().update_labels(call_, plain.digest, {{kGzipLabel, made.digest.str()}}).status());
    return made;
  }

  Result<std::optional<Blob>> find_known(const ctrd::Descriptor& plain) {
    POUCH_ASSIGN_OR_RETURN(const ctrd::ContentInfo info, leased_->content().info(call_, plain.digest));
    const auto label = info.labels.find(kGzipLabel);
    if (label == info.labels.end()) return std::optional<Blob>();
    const Digest digest(label->second);
    const auto found = leased_->content().info(call_, digest);
    if (found.code() == Code::kNotFound) return std::optional<Blob>();
    if (!found.is_ok()) return found.status();
    POUCH_ASSIGN_OR_RETURN(const bool is_pinned, pin_blob(*leased_, call_, {"", digest, found->size, {}}));
    if (!is_pinned) return std::optional<Blob>();
    return std::optional<Blob>(Blob{digest, found->size});
  }

  Result<Blob> make(const ctrd::Descriptor& plain) {
    const std::string shown = short_id(plain.digest.str());  // a plain layer's digest is its diff id
    ContentSink sink(leased_, call_);
    POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<BlobSinkWriter> blob, sink.create());
    GzipWriter gzip(*blob);
    const auto source = content_source(*leased_, call_, plain.digest, plain.size);
    ReadAhead ahead(*source);
    int64_t done = 0;
    Deadline quiet = Deadline::after_ms(0);
    while (true) {
      POUCH_RETURN_IF_ERROR(call_.check());
      POUCH_ASSIGN_OR_RETURN(const std::string_view piece, ahead.next());
      if (piece.empty()) return gzip.finish();
      POUCH_RETURN_IF_ERROR(gzip.write(piece));
      done += static_cast<int64_t>(piece.size());
      if (!quiet.has_passed()) continue;
      quiet = Deadline::after_ms(kTellMs);
      progress_.part(shown, "Compressing", done, plain.size);
    }
  }

  EngineContext& context_;
  const Call& call_;
  const std::shared_ptr<ctrd::Client>& leased_;
  const StoredImage& image_;
  Progress& progress_;
  std::vector<ctrd::Descriptor> layers_;
};

}  // namespace

Result<StoredImage> gzip_layers(EngineContext& context, const Call& call,
                                const std::shared_ptr<ctrd::Client>& leased, StoredImage image,
                                Progress& progress) {
  Change change(context, call, leased, image, progress);
  POUCH_ASSIGN_OR_RETURN(const bool is_changed, change.compress());
  if (!is_changed) return image;
  POUCH_ASSIGN_OR_RETURN(StoredImage next, change.make_manifest());
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_RETURN_IF_ERROR(change.take_effect(next));
  return next;
}

bool is_plain_layer(const ctrd::Descriptor& layer) {
  return !gzip_type(layer.media_type).empty();
}

Status keep_as_it_is(const ctrd::Client& client, const Call& call, const Digest& blob) {
  return client.content().update_labels(call, blob, {{kAsItIsLabel, "1"}}).status();
}

Status settle_change(const EngineContext& context, const ctrd::Client& client, const Call& call,
                     const ctrd::ImageRecord& record) {
  if (!record.labels.contains(kChangeLabel)) return {};
  std::vector<Reference> names;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
    POUCH_ASSIGN_OR_RETURN(const std::vector<NameRow> rows, names_of(session, Digest(record.name)));
    for (const NameRow& row : rows) names.push_back(row.reference);
  }
  match_records(context, client, call, Digest(record.name), names);
  client.content().update_labels(call, record.target.digest, {{kNextLabel, ""}}).status().ignore();
  return {};
}

}  // namespace pouch::image
