#include "core/image/stored_image.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "core/base/id.h"
#include "core/base/text.h"
#include "core/ctrd/content.h"
#include "core/image/docker_archive.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

constexpr int64_t kWindowBytes = int64_t{4} << 20U;

Status lost(const ctrd::Descriptor& blob) {
  return {Code::kDataLoss,
          "containerd has lost the blob " + blob.digest.str() + "; pull or load the image again"};
}

}  // namespace

std::vector<ctrd::Descriptor> StoredImage::blobs() const {
  std::vector<ctrd::Descriptor> out{manifest.config};
  std::set<Digest> seen{manifest.config.digest};
  for (const ctrd::Descriptor& layer : manifest.layers) {
    if (seen.insert(layer.digest).second) out.push_back(layer);
  }
  return out;
}

Result<StoredImage> read_stored_image(const ctrd::Client& client, const Call& call, const ImageRow& row,
                                      const ImageLimits& limits) {
  StoredImage image;
  image.row = row;
  POUCH_ASSIGN_OR_RETURN(image.facts, parse_image_config(row.config_json, limits));
  auto json = client.content().read_all(call, row.manifest.digest, limits.max_json_bytes);
  if (json.code() == Code::kNotFound) return lost(row.manifest);
  if (!json.is_ok()) return json.status();
  image.manifest_json = std::move(*json);
  POUCH_ASSIGN_OR_RETURN(
      image.manifest, parse_manifest(image.manifest_json, "manifest " + row.manifest.digest.str(), limits));
  for (const ctrd::Descriptor& blob : image.blobs()) {
    const auto info = client.content().info(call, blob.digest);
    if (info.code() == Code::kNotFound) return lost(blob);
    if (!info.is_ok()) return info.status();
  }
  return image;
}

// A lease keeps what is asked to be written under it and is there already, with all it refers to.
Result<bool> pin_blob(const ctrd::Client& leased, const Call& call, const ctrd::Descriptor& blob) {
  const std::string ref = "pouch-" + random_hex(8);
  POUCH_ASSIGN_OR_RETURN(const ctrd::BlobWriter writer,
                         leased.content().open_writer(call, ref, blob.size, blob.digest));
  if (writer.exists()) return true;
  leased.content().abort(call, ref).ignore();
  return false;
}

Result<StoredImage> read_pinned_image(const EngineContext& context, const ctrd::Client& leased,
                                      const Call& call, const Digest& id, const ImageLimits& limits) {
  std::optional<ImageRow> before;
  while (true) {
    std::optional<ImageRow> row;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
      POUCH_ASSIGN_OR_RETURN(row, find_image(session, id));
    }
    if (!row) return not_found("No such image: " + id.str());
    POUCH_ASSIGN_OR_RETURN(const bool is_there, pin_blob(leased, call, row->manifest));
    if (is_there) return read_stored_image(leased, call, *row, limits);
    // It may have got another manifest since the row was read, and the collector is quick.
    if (before && before->manifest.digest == row->manifest.digest) return lost(row->manifest);
    before = std::move(row);
  }
}

Result<std::optional<api::Platform>> parse_platform_option(const std::optional<std::string>& text) {
  if (!text || text->empty()) return std::optional<api::Platform>();
  auto platform = api::parse_document<api::Platform>(*text);
  if (!platform.is_ok()) return platform.status().prefix("platform");
  return std::optional<api::Platform>(std::move(*platform));
}

Status check_platform(const ImageConfigFacts& facts, const std::optional<api::Platform>& platform,
                      const std::string& name) {
  if (!platform || matches_platform(facts, *platform)) return {};
  return not_found("image with reference " + name +
                   " was found but does not provide the specified platform (" + platform_text(*platform) +
                   ")");
}

Result<size_t> BlobReader::read(int64_t offset, char* buffer, size_t size) {
  const int64_t end = begin_ + static_cast<int64_t>(window_.size());
  if (offset < begin_ || offset >= end) {
    const int64_t want = std::min(kWindowBytes, blob_.size - offset);
    if (want <= 0) return lost(blob_);
    window_.clear();
    begin_ = offset;
    const Status status =
        client_.content().read(call_, blob_.digest, offset, want, [this](std::string_view piece) {
          window_ += piece;
          return Status();
        });
    if (status.code() == Code::kNotFound || (status.is_ok() && window_.empty())) return lost(blob_);
    POUCH_RETURN_IF_ERROR(status);
  }
  const auto at = static_cast<size_t>(offset - begin_);
  const size_t count = std::min(size, window_.size() - at);
  std::memcpy(buffer, window_.data() + at, count);
  return count;
}

}  // namespace pouch::image
