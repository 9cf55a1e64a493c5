#include "core/image/blob_origins.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/ctrd/content.h"

namespace pouch::image {
namespace {

// containerd takes labels of up to 4096 bytes, key and value together.
constexpr size_t kMaxLabelBytes = 4096;

std::string origin_label(const std::string& domain) {
  return "containerd.io/distribution.source." + domain;
}

}  // namespace

std::vector<std::string> blob_origins(const ctrd::Labels& labels, const std::string& domain) {
  const auto label = labels.find(origin_label(domain));
  if (label == labels.end() || label->second.empty()) return {};
  return split(label->second, ',');
}

Status note_blob_origin(const ctrd::Client& client, const Call& call, const Digest& blob,
                        const Reference& name) {
  POUCH_ASSIGN_OR_RETURN(const ctrd::ContentInfo info, client.content().info(call, blob));
  std::vector<std::string> origins = blob_origins(info.labels, name.domain());
  if (std::find(origins.begin(), origins.end(), name.path()) != origins.end()) return {};
  origins.push_back(name.path());
  const std::string label = origin_label(name.domain());
  while (origins.size() > 1 && label.size() + join(origins, ",").size() > kMaxLabelBytes)
    origins.erase(origins.begin());
  return client.content().update_labels(call, blob, {{label, join(origins, ",")}}).status();
}

}  // namespace pouch::image
