#include "core/image/kept_blobs.h"

#include <string>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/ctrd/content.h"

namespace pouch::image {
namespace {

constexpr const char* kRootLabel = "containerd.io/gc.root";  // the collector's own: it keeps what has it
constexpr const char* kKeptLabel = "pouch.kept";             // since when, seconds since 1970
constexpr int64_t kLifeSeconds = 3'600;
constexpr int64_t kNsPerSecond = 1'000'000'000;

int64_t now_seconds() {
  return Timestamp::now().ns / kNsPerSecond;
}

Status release(const ctrd::Client& client, const Call& call, const Digest& blob) {
  const Status done =
      client.content().update_labels(call, blob, {{kRootLabel, ""}, {kKeptLabel, ""}}).status();
  return done.code() == Code::kNotFound ? Status() : done;
}

bool is_old(const std::string& since) {
  return now_seconds() - leading_number<int64_t>(since) > kLifeSeconds;
}

}  // namespace

ctrd::Labels kept_labels() {
  const std::string now = std::to_string(now_seconds());
  return {{kRootLabel, now}, {kKeptLabel, now}};
}

void release_blobs(const ctrd::Client& client, const Call& call,
                   const std::vector<ctrd::Descriptor>& layers) {
  for (const ctrd::Descriptor& layer : layers) {
    const Status released = release(client, call, layer.digest);
    // It goes an hour later.
    if (!released.is_ok()) log_warning("image", "release a blob: " + released.message());
  }
}

Result<int> release_kept(const ctrd::Client& client, const Call& call, bool all) {
  POUCH_ASSIGN_OR_RETURN(const auto kept,
                         client.content().list(call, {std::string("labels.\"") + kKeptLabel + "\""}));
  int count = 0;
  for (const ctrd::ContentInfo& blob : kept) {
    const auto since = blob.labels.find(kKeptLabel);
    if (since == blob.labels.end() || (!all && !is_old(since->second))) continue;
    POUCH_RETURN_IF_ERROR(release(client, call, blob.digest));
    ++count;
  }
  return count;
}

}  // namespace pouch::image
