#include "core/image/image_list.h"

#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/base/text.h"
#include "core/image/image_config.h"
#include "core/image/image_filter.h"
#include "core/image/image_store.h"
#include "core/image/stored_image.h"

namespace pouch::image {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

struct Names {
  std::vector<std::string> tags;
  std::vector<std::string> digests;
  Timestamp last_tagged;
};

Names split_names(const std::vector<NameRow>& rows) {
  Names names;
  for (const NameRow& row : rows) {
    auto& into = row.reference.digest().empty() ? names.tags : names.digests;
    into.push_back(row.reference.familiar());
    if (row.tagged > names.last_tagged) names.last_tagged = row.tagged;
  }
  return names;
}

api::ImageSummary summary(const ImageRow& row, const ImageConfigFacts& facts, const Names& names) {
  api::ImageSummary out;
  out.containers = -1;
  out.created = row.created.is_zero() ? 0 : row.created.ns / kNsPerSecond;
  out.id = row.id.str();
  if (facts.config && facts.config->labels) out.labels = *facts.config->labels;
  out.repo_digests = names.digests;
  out.repo_tags = names.tags;
  out.shared_size = -1;
  out.size = row.size;
  out.virtual_size = row.size;
  return out;
}

}  // namespace

api::Descriptor descriptor_of(const ctrd::Descriptor& target) {
  api::Descriptor out;
  out.media_type = target.media_type;
  out.digest = target.digest.str();
  out.size = target.size;
  return out;
}

Result<std::vector<api::ImageSummary>> list_images(store::Session& session,
                                                   const api::ImageListOptions& options) {
  POUCH_ASSIGN_OR_RETURN(const ImageFilter filter, ImageFilter::make(session, options.filters, kListFilters));
  POUCH_ASSIGN_OR_RETURN(const std::vector<NameRow> names, all_names(session));
  std::map<Digest, std::vector<NameRow>> names_by_image;
  for (const NameRow& name : names) names_by_image[name.image_id].push_back(name);
  POUCH_ASSIGN_OR_RETURN(const std::vector<ImageRow> rows, all_images(session));
  const bool wants_shared = options.shared_size.value_or(false);
  std::map<Digest, int64_t> shared;
  if (wants_shared) {
    POUCH_ASSIGN_OR_RETURN(shared, shared_bytes(session));
  }
  std::vector<api::ImageSummary> out;
  for (const ImageRow& row : rows) {
    POUCH_ASSIGN_OR_RETURN(const ImageConfigFacts facts, parse_image_config(row.config_json, {}));
    std::vector<NameRow>& of_image = names_by_image[row.id];
    if (!filter.admits(row, facts, of_image)) continue;
    out.push_back(summary(row, facts, split_names(of_image)));
    if (wants_shared) out.back().shared_size = shared[row.id];
  }
  return out;
}

Result<api::ImageInspect> inspect_image(store::Session& session, const std::string& name,
                                        const std::optional<api::Platform>& platform) {
  POUCH_ASSIGN_OR_RETURN(const Digest id, resolve_image(session, name));
  POUCH_ASSIGN_OR_RETURN(const std::optional<ImageRow> row, find_image(session, id));
  if (!row) return not_found("No such image: " + name);
  POUCH_ASSIGN_OR_RETURN(const std::vector<NameRow> rows, names_of(session, id));
  POUCH_ASSIGN_OR_RETURN(const ImageConfigFacts facts, parse_image_config(row->config_json, {}));
  POUCH_RETURN_IF_ERROR(check_platform(facts, platform, name));
  const Names names = split_names(rows);
  api::ImageInspect out;
  out.id = id.str();
  out.repo_tags = names.tags;
  out.repo_digests = names.digests;
  out.comment = facts.comment;
  if (!facts.created.is_zero()) out.created = facts.created;
  if (!facts.container.empty()) out.container = facts.container;
  out.docker_version = facts.docker_version;
  out.author = facts.author;
  if (facts.config) out.config = *facts.config;
  out.architecture = facts.architecture;
  if (!facts.variant.empty()) out.variant = facts.variant;
  out.os = facts.os;
  if (!facts.os_version.empty()) out.os_version = facts.os_version;
  out.size = row->size;
  out.virtual_size = row->size;
  out.graph_driver.name = row->snapshotter;
  out.root_fs.type = "layers";
  if (!facts.diff_ids.empty()) {
    for (const Digest& diff : facts.diff_ids) {
      if (!out.root_fs.layers) out.root_fs.layers.emplace();
      out.root_fs.layers->push_back(diff.str());
    }
  }
  out.metadata.last_tag_time = names.last_tagged;
  out.descriptor = descriptor_of(row->manifest);
  return out;
}

bool matches_reference(const std::string& pattern, const Reference& reference) {
  const auto matches = [&](const std::string& text) {
    return ::fnmatch(pattern.c_str(), text.c_str(), FNM_PATHNAME) == 0;
  };
  return matches(reference.familiar()) || matches(reference.familiar_repository());
}

}  // namespace pouch::image
