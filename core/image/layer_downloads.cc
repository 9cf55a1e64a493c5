#include "core/image/layer_downloads.h"

#include <algorithm>
#include <utility>

#include "core/base/executor.h"
#include "core/ctrd/content.h"
#include "core/image/gzip_layers.h"
#include "core/image/image_importer.h"
#include "core/image/kept_blobs.h"
#include "core/image/work_lock.h"

namespace pouch::image {
namespace {

// As many as Docker takes.
constexpr size_t kAtOnce = 3;
constexpr int64_t kCleanUpMs = 5'000;
constexpr int64_t kTellMs = 100;  // between two messages about one layer

// Takes an unfinished blob away; the lease's end does it, too, but later.
void abort_ingest(const ctrd::Client& client, const std::string& ref) {
  Call call;
  call.deadline = Deadline::after_ms(kCleanUpMs);
  client.content().abort(call, ref).ignore();
}

}  // namespace

LayerDownloads::LayerDownloads(const EngineContext& context, std::shared_ptr<ctrd::Client> client,
                               PullSource& source, const Call& call, const std::vector<ImageLayer>& layers,
                               Progress& progress)
    : context_(context),
      client_(std::move(client)),
      source_(source),
      call_(call),
      work_call_(call),
      layers_(layers),
      progress_(progress),
      done_(layers.size()) {
  work_call_.cancel = std::make_shared<CancelToken>();
  if (call_.cancel) forward_ = call_.cancel->add([token = work_call_.cancel] { token->fire(); });
}

LayerDownloads::~LayerDownloads() {
  work_call_.cancel->fire();
  for (std::thread& thread : threads_) thread.join();
  if (call_.cancel) call_.cancel->remove(forward_);
}

Status LayerDownloads::begin(size_t first) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    bool is_wanted = i >= first;
    if (!is_wanted) {
      // Unpacked, but of another blob: this image's own one is needed when it is pushed or saved.
      const auto info = client_->content().info(call_, layers_[i].blob.digest);
      if (!info.is_ok() && info.code() != Code::kNotFound) return info.status();
      is_wanted = !info.is_ok();
    }
    if (is_wanted) {
      wanted_.push_back(i);
    } else {
      done_[i] = Status();
      // It was made here, too; now it is the source's, and goes out as it is.
      if (is_plain_layer(layers_[i].blob)) source_.stored(*client_, call_, layers_[i].blob.digest);
    }
    if (is_wanted || !is_hushed_)
      progress_.status(short_id(layers_[i].blob.digest.str()),
                       is_wanted ? "Pulling fs layer" : "Already exists");
  }
  const size_t count = std::min(kAtOnce, wanted_.size());
  for (size_t i = 0; i < count; ++i) threads_.push_back(start_thread([this] { work(); }));
  return {};
}

Status LayerDownloads::wait(size_t layer) {
  {
    std::unique_lock lock(mutex_);
    POUCH_RETURN_IF_ERROR(wait_for(lock, changed_, call_, [&] { return done_[layer].has_value(); }));
    POUCH_RETURN_IF_ERROR(*done_[layer]);
  }
  return {};
}

void LayerDownloads::unpacking(size_t layer) {
  progress_.part(short_id(layers_[layer].blob.digest.str()), "Extracting", 0, layers_[layer].blob.size);
}

void LayerDownloads::unpacked(size_t layer) {
  progress_.status(short_id(layers_[layer].blob.digest.str()), "Pull complete");
}

void LayerDownloads::work() {
  while (const std::optional<size_t> layer = take_next()) finish(*layer, fetch(layers_[*layer]));
}

std::optional<size_t> LayerDownloads::take_next() {
  const std::lock_guard lock(mutex_);
  if (next_ >= wanted_.size()) return std::nullopt;
  return wanted_[next_++];
}

// The first failure is everybody's: who waits for another layer learns of it, too.
void LayerDownloads::finish(size_t layer, Status status) {
  const bool failed = !status.is_ok();
  {
    const std::lock_guard lock(mutex_);
    if (failed) {
      for (std::optional<Status>& other : done_) {
        if (!other) other = status;
      }
      next_ = wanted_.size();
    }
    if (!done_[layer]) done_[layer] = std::move(status);
    changed_.notify_all();
  }
  if (failed) work_call_.cancel->fire();
}

Status LayerDownloads::fetch(const ImageLayer& layer) {
  POUCH_RETURN_IF_ERROR(work_call_.check());
  const std::string ref = "pouch-" + layer.blob.digest.str();
  POUCH_ASSIGN_OR_RETURN(const WorkLock lock,
                         WorkLock::acquire(context_, layer.blob.digest.str(), work_call_));
  const Status status = download(layer, ref);
  if (!status.is_ok()) {
    abort_ingest(*client_, ref);
    return status.prefix("layer " + layer.blob.digest.str());
  }
  progress_.status(short_id(layer.blob.digest.str()), "Download complete");
  return {};
}

Status LayerDownloads::download(const ImageLayer& layer, const std::string& ref) {
  const ctrd::Descriptor& blob = layer.blob;
  POUCH_ASSIGN_OR_RETURN(ctrd::BlobWriter writer,
                         client_->content().open_writer(work_call_, ref, blob.size, blob.digest));
  if (!writer.exists()) {
    const std::string id = short_id(blob.digest.str());
    int64_t current = writer.offset();
    Deadline quiet;  // never passed before the first bytes
    const auto keep = [&](std::string_view bytes) -> Status {
      POUCH_RETURN_IF_ERROR(writer.write(work_call_, bytes));
      current += static_cast<int64_t>(bytes.size());
      if (!quiet.is_never() && !quiet.has_passed()) return {};
      quiet = Deadline::after_ms(kTellMs);
      progress_.part(id, "Downloading", current, blob.size);
      return {};
    };
    POUCH_RETURN_IF_ERROR(source_.fetch_blob(work_call_, blob.digest, blob.size, writer.offset(), keep));
  }
  POUCH_RETURN_IF_ERROR(writer.commit(work_call_, blob.size, blob.digest, kept_labels()));
  source_.stored(*client_, work_call_, blob.digest);
  return {};
}

}  // namespace pouch::image
