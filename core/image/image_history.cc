#include "core/image/image_history.h"

#include <algorithm>
#include <optional>

#include "core/image/image_config.h"
#include "core/image/image_store.h"
#include "core/image/stored_image.h"

namespace pouch::image {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

std::string text_of(const Json& step, const char* key) {
  return step[key].isString() ? step[key].asString() : "";
}

api::ImageHistoryItem item_of(const Json& step, int64_t size) {
  api::ImageHistoryItem item;
  item.id = "<missing>";
  const auto created = Timestamp::parse_rfc3339(text_of(step, "created"));
  item.created = created.is_ok() && !created->is_zero() ? created->ns / kNsPerSecond : 0;
  item.created_by = text_of(step, "created_by");
  item.comment = text_of(step, "comment");
  item.size = size;
  return item;
}

}  // namespace

Result<std::vector<api::ImageHistoryItem>> image_history(store::Session& session, const std::string& name,
                                                         const api::ImageHistoryOptions& options) {
  POUCH_ASSIGN_OR_RETURN(const std::optional<api::Platform> platform,
                         parse_platform_option(options.platform));
  POUCH_ASSIGN_OR_RETURN(const Digest id, resolve_image(session, name));
  POUCH_ASSIGN_OR_RETURN(const std::optional<ImageRow> row, find_image(session, id));
  if (!row) return not_found("No such image: " + name);
  POUCH_ASSIGN_OR_RETURN(const ImageConfigFacts facts, parse_image_config(row->config_json, {}));
  POUCH_RETURN_IF_ERROR(check_platform(facts, platform, name));
  POUCH_ASSIGN_OR_RETURN(const std::vector<LayerRow> layers, layers_of(session, id));
  POUCH_ASSIGN_OR_RETURN(const Json config, parse_json(row->config_json));
  std::vector<api::ImageHistoryItem> items;
  size_t layer = 0;
  const Json& steps = config["history"];
  for (Json::ArrayIndex i = 0; steps.isArray() && i < steps.size(); ++i) {
    if (!steps[i].isObject()) continue;
    const Json& empty = steps[i]["empty_layer"];
    const bool has_layer = !(empty.isBool() && empty.asBool()) && layer < layers.size();
    items.push_back(item_of(steps[i], has_layer ? layers[layer++].size : 0));
  }
  std::reverse(items.begin(), items.end());
  if (items.empty()) return items;
  items.front().id = id.str();
  POUCH_ASSIGN_OR_RETURN(const std::vector<NameRow> names, names_of(session, id));
  std::vector<std::string> tags;
  for (const NameRow& named : names) {
    if (named.reference.digest().empty()) tags.push_back(named.reference.familiar());
  }
  if (!tags.empty()) items.front().tags = std::move(tags);
  return items;
}

}  // namespace pouch::image
