#include "core/image/image_save.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "core/ctrd/content.h"
#include "core/image/archive_images.h"
#include "core/image/rootfs_tar.h"
#include "core/image/tar_reader.h"
#include "core/image/tar_writer.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

constexpr const char* kBlobFolder = "blobs/sha256";
// By these containerd and others know which name an image of the layout has.
constexpr const char* kNameAnnotation = "io.containerd.image.name";
constexpr const char* kTagAnnotation = "org.opencontainers.image.ref.name";

class PipeSink final : public BlobSinkWriter {
 public:
  explicit PipeSink(StreamPipe& pipe) : pipe_(pipe) {}
  Status write(std::string_view bytes) override { return pipe_.push(Channel::kData, std::string(bytes)); }
  Status commit(const Digest& /*digest*/, int64_t /*size*/) override { return {}; }

 private:
  StreamPipe& pipe_;
};

std::string blob_path(const Digest& digest) {
  return std::string(kBlobFolder) + "/" + digest.str().substr(digest.str().find(':') + 1);
}

Json descriptor_json(const ctrd::Descriptor& descriptor) {
  Json out = json_object();
  out["mediaType"] = descriptor.media_type;
  out["digest"] = descriptor.digest.str();
  out["size"] = static_cast<Json::Int64>(descriptor.size);
  return out;
}

std::string index_json(const std::vector<SavedImage>& images) {
  Json index = json_object();
  index["schemaVersion"] = 2;
  index["mediaType"] = kOciIndexType;
  index["manifests"] = json_array();
  for (const SavedImage& saved : images) {
    Json entry = descriptor_json(saved.image.row.manifest);
    if (saved.names.empty()) index["manifests"].append(entry);
    for (const Reference& name : saved.names) {
      entry["annotations"] = json_object();
      entry["annotations"][kNameAnnotation] = name.str();
      entry["annotations"][kTagAnnotation] = name.tag();
      index["manifests"].append(entry);
    }
  }
  return write_json(index);
}

std::string docker_json(const std::vector<SavedImage>& images) {
  Json out = json_array();
  for (const SavedImage& saved : images) {
    Json item = json_object();
    item["Config"] = blob_path(saved.image.manifest.config.digest);
    item["RepoTags"] = Json();
    for (const Reference& name : saved.names) item["RepoTags"].append(name.familiar());
    item["Layers"] = json_array();
    for (const ctrd::Descriptor& layer : saved.image.manifest.layers)
      item["Layers"].append(blob_path(layer.digest));
    out.append(std::move(item));
  }
  return write_json(out);
}

class Archive {
 public:
  Archive(const ctrd::Client& client, const Call& call, TarWriter& tar)
      : client_(client), call_(call), tar_(tar) {}

  Status write(const std::vector<SavedImage>& images) {
    // What tells of the rest comes first: who reads it as it comes knows what to keep.
    POUCH_RETURN_IF_ERROR(add_text("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    POUCH_RETURN_IF_ERROR(add_text("index.json", index_json(images)));
    POUCH_RETURN_IF_ERROR(add_text("manifest.json", docker_json(images)));
    POUCH_RETURN_IF_ERROR(add_folder("blobs"));
    POUCH_RETURN_IF_ERROR(add_folder(kBlobFolder));
    for (const SavedImage& saved : images) {
      if (written_.insert(saved.image.row.manifest.digest).second) {
        POUCH_RETURN_IF_ERROR(
            add_text(blob_path(saved.image.row.manifest.digest), saved.image.manifest_json));
      }
      for (const ctrd::Descriptor& blob : saved.image.blobs()) {
        if (written_.insert(blob.digest).second) POUCH_RETURN_IF_ERROR(add_blob(blob));
      }
    }
    return {};
  }

 private:
  Status add_folder(const std::string& path) {
    TarEntry entry;
    entry.type = TarType::kFolder;
    entry.path = path;
    entry.mode = 0755;
    return tar_.add(entry);
  }

  Status add_file(const std::string& path, int64_t size) {
    TarEntry entry;
    entry.path = path;
    entry.mode = 0644;
    entry.size = size;
    return tar_.add(entry);
  }

  Status add_text(const std::string& path, const std::string& text) {
    POUCH_RETURN_IF_ERROR(add_file(path, static_cast<int64_t>(text.size())));
    return tar_.write(text);
  }

  Status add_blob(const ctrd::Descriptor& blob) {
    POUCH_RETURN_IF_ERROR(add_file(blob_path(blob.digest), blob.size));
    int64_t left = blob.size;
    POUCH_RETURN_IF_ERROR(
        client_.content().read(call_, blob.digest, 0, 0, [&](std::string_view piece) -> Status {
          left -= static_cast<int64_t>(piece.size());
          return tar_.write(piece);
        }));
    if (left == 0) return {};
    return {Code::kDataLoss, "blob " + blob.digest.str() + ": containerd has another size of it"};
  }

  const ctrd::Client& client_;
  const Call& call_;
  TarWriter& tar_;
  std::set<Digest> written_;
};

// What one of the given names means, as Moby takes it: a bare repository is all its tags.
struct Found {
  Digest id;
  std::optional<Reference> name;
};

Result<std::vector<Found>> find_by_name(EngineContext& context, const std::string& text) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
  const auto reference = Reference::parse(text);
  if (reference.is_ok() && reference->is_name_only()) {
    POUCH_ASSIGN_OR_RETURN(const std::vector<NameRow> names, all_names(session));
    std::vector<Found> found;
    for (const NameRow& name : names) {
      if (name.reference.repository() != reference->repository() || !name.reference.digest().empty())
        continue;
      found.push_back({name.image_id, name.reference});
    }
    if (!found.empty()) return found;
  }
  POUCH_ASSIGN_OR_RETURN(const Digest id, resolve_image(session, text));
  if (!reference.is_ok() || is_id_prefix(text, id) || !reference->digest().empty())
    return std::vector<Found>{{id, std::nullopt}};
  return std::vector<Found>{{id, reference->with_default_tag()}};
}

}  // namespace

Result<std::vector<SavedImage>> find_saved(EngineContext& context, const Call& call,
                                           const ctrd::Client& leased, const api::ImageSaveOptions& options,
                                           const ImageLimits& limits) {
  if (options.names.empty()) return invalid_argument("image.save: names: no image is named");
  POUCH_ASSIGN_OR_RETURN(const std::optional<api::Platform> platform,
                         parse_platform_option(options.platform));
  std::vector<SavedImage> images;
  for (const std::string& text : options.names) {
    POUCH_ASSIGN_OR_RETURN(const std::vector<Found> all, find_by_name(context, text));
    for (const Found& found : all) {
      auto known = std::ranges::find_if(
          images, [&](const SavedImage& saved) { return saved.image.row.id == found.id; });
      if (known == images.end()) {
        auto image = read_pinned_image(context, leased, call, found.id, limits);
        if (image.code() == Code::kNotFound) return not_found("No such image: " + text);
        if (!image.is_ok()) return image.status();
        POUCH_RETURN_IF_ERROR(check_platform(image->facts, platform, text));
        known = images.insert(images.end(), SavedImage{std::move(*image), {}});
      }
      const bool is_new = found.name && std::ranges::find(known->names, *found.name) == known->names.end();
      if (is_new) known->names.push_back(*found.name);
    }
  }
  return images;
}

Status export_folder(const Call& call, int folder, StreamPipe& pipe, const ImageLimits& limits) {
  const Utf8Locale locale;
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<TarWriter> tar,
                         TarWriter::create(std::make_unique<PipeSink>(pipe)));
  POUCH_RETURN_IF_ERROR(copy_rootfs_folder(call, folder, *tar, limits, Changes::kTolerated));
  return tar->finish().status();
}

Status save_images(EngineContext& context, const Call& call, const std::vector<SavedImage>& images,
                   StreamPipe& pipe) {
  const Utf8Locale locale;
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<TarWriter> tar,
                         TarWriter::create(std::make_unique<PipeSink>(pipe)));
  POUCH_RETURN_IF_ERROR(Archive(*client, call, *tar).write(images));
  return tar->finish().status();
}

}  // namespace pouch::image
