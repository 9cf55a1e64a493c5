#include "core/image/layer_uploads.h"

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include "core/base/executor.h"
#include "core/ctrd/content.h"
#include "core/image/blob_origins.h"

namespace pouch::image {
namespace {

// As many as Docker takes.
constexpr size_t kAtOnce = 5;
constexpr size_t kMaxMountTries = 3;
constexpr int64_t kTellMs = 100;  // between two messages about one layer

}  // namespace

LayerUploads::LayerUploads(const ctrd::Client& client, registry::Repository& repository,
                           const Reference& name, const Call& call, const StoredImage& image,
                           Progress& progress)
    : client_(client),
      repository_(repository),
      name_(name),
      call_(call),
      work_call_(call),
      progress_(progress) {
  work_call_.cancel = std::make_shared<CancelToken>();
  if (call_.cancel) forward_ = call_.cancel->add([token = work_call_.cancel] { token->fire(); });
  // Highest first, and by their diff ids, as Docker tells them; the config is not told.
  std::set<Digest> seen;
  for (size_t i = image.manifest.layers.size(); i > 0; --i) {
    const ctrd::Descriptor& blob = image.manifest.layers[i - 1];
    const std::string diff_id =
        i <= image.facts.diff_ids.size() ? image.facts.diff_ids[i - 1].str() : blob.digest.str();
    if (seen.insert(blob.digest).second) items_.push_back({blob, short_id(diff_id)});
  }
  for (const Item& item : items_) tell(item, "Preparing");
  for (size_t i = kAtOnce; i < items_.size(); ++i) tell(items_[i], "Waiting");
  items_.push_back({image.manifest.config, ""});
}

LayerUploads::~LayerUploads() {
  if (call_.cancel) call_.cancel->remove(forward_);
}

Status LayerUploads::run() {
  std::vector<std::thread> threads;
  const size_t count = std::min(kAtOnce, items_.size());
  for (size_t i = 1; i < count; ++i) threads.push_back(start_thread([this] { work(); }));
  work();
  for (std::thread& thread : threads) thread.join();
  const std::lock_guard lock(mutex_);
  return status_;
}

void LayerUploads::work() {
  while (const std::optional<size_t> at = take_next()) finish(bring(items_[*at]));
}

std::optional<size_t> LayerUploads::take_next() {
  const std::lock_guard lock(mutex_);
  if (!status_.is_ok() || next_ >= items_.size()) return std::nullopt;
  return next_++;
}

void LayerUploads::finish(Status status) {
  if (status.is_ok()) return;
  {
    const std::lock_guard lock(mutex_);
    if (status_.is_ok()) status_ = std::move(status);
  }
  work_call_.cancel->fire();
}

void LayerUploads::tell(const Item& item, const std::string& text) {
  if (!item.shown_id.empty()) progress_.status(item.shown_id, text);
}

Status LayerUploads::bring(const Item& item) {
  POUCH_ASSIGN_OR_RETURN(const bool is_there, repository_.has_blob(work_call_, item.blob.digest));
  if (is_there) {
    tell(item, "Layer already exists");
  } else {
    POUCH_ASSIGN_OR_RETURN(const bool is_mounted, take_over(item));
    if (!is_mounted) {
      POUCH_RETURN_IF_ERROR(upload(item));
      tell(item, "Pushed");
    }
  }
  // Without it the next push has more to do.
  note_blob_origin(client_, work_call_, item.blob.digest, name_).ignore();
  return {};
}

Result<bool> LayerUploads::take_over(const Item& item) {
  POUCH_ASSIGN_OR_RETURN(const ctrd::ContentInfo info, client_.content().info(work_call_, item.blob.digest));
  size_t tries = 0;
  for (const std::string& path : blob_origins(info.labels, name_.domain())) {
    if (path == name_.path() || tries++ == kMaxMountTries) continue;
    const auto mounted = repository_.mount_blob(work_call_, item.blob.digest, path);
    POUCH_RETURN_IF_ERROR(work_call_.check());
    if (!mounted.is_ok() || !*mounted) continue;  // then it is uploaded
    tell(item, "Mounted from " + path);
    return true;
  }
  return false;
}

Status LayerUploads::upload(const Item& item) {
  BlobReader reader(client_, work_call_, item.blob);
  Deadline quiet = Deadline::after_ms(0);
  const auto source = [&](int64_t offset, char* buffer, size_t size) -> Result<size_t> {
    POUCH_ASSIGN_OR_RETURN(const size_t count, reader.read(offset, buffer, size));
    if (!item.shown_id.empty() && quiet.has_passed()) {
      quiet = Deadline::after_ms(kTellMs);
      progress_.part(item.shown_id, "Pushing", offset + static_cast<int64_t>(count), item.blob.size);
    }
    return count;
  };
  return repository_.upload_blob(work_call_, item.blob.digest, item.blob.size, source);
}

}  // namespace pouch::image
