#include "core/image/image_filter.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/point_in_time.h"
#include "core/base/text.h"
#include "core/image/image_list.h"

namespace pouch::image {
namespace {

Status bad_value(const std::string& key, std::string_view value) {
  const std::string quoted = quote(value);
  const bool plain = quoted == '"' + std::string(value) + '"';
  return invalid_argument("Invalid filter '" + key + "=[" + (plain ? std::string(value) : quoted) + "]'");
}

Result<bool> parse_bool(const std::string& key, const std::string& value) {
  const std::string lower = to_lower(value);
  if (lower == "true" || lower == "1" || lower == "t") return true;
  if (lower == "false" || lower == "0" || lower == "f") return false;
  return bad_value(key, value);
}

bool is_pattern(std::string_view text) {
  const size_t open = text.find('[');
  return !text.empty() && (open == std::string_view::npos || text.find(']', open) != std::string_view::npos);
}

}  // namespace

Result<ImageFilter> ImageFilter::make(store::Session& session, const std::optional<FilterMap>& filters,
                                      std::span<const std::string_view> known) {
  ImageFilter filter;
  if (!filters) return filter;
  POUCH_RETURN_IF_ERROR(check_filter_keys(*filters, known));
  for (const auto& [key, values] : *filters) POUCH_RETURN_IF_ERROR(filter.add(session, key, values));
  return filter;
}

Status ImageFilter::add(store::Session& session, const std::string& key,
                        const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    if (key == "dangling") {
      POUCH_ASSIGN_OR_RETURN(dangling_, parse_bool(key, value));
    } else if (key == "reference") {
      if (!is_pattern(value)) return invalid_argument("syntax error in pattern");
      references_.push_back(value);
    } else if (key == "label") {
      labels_.push_back(value);
    } else if (key == "label!") {
      no_labels_.push_back(value);
    } else if (key == "until") {
      auto until = parse_point_in_time(value, Timestamp::now());
      if (!until.is_ok())
        return invalid_argument("failed to parse value as time or duration: " + quote(value));
      before_ = before_ ? std::min(*before_, *until) : *until;
    } else {
      auto id = resolve_image(session, value);
      // The contract of image.list knows no NotFound.
      if (!id.is_ok()) return invalid_argument(id.status().message());
      POUCH_ASSIGN_OR_RETURN(const std::optional<ImageRow> row, find_image(session, *id));
      const Timestamp created = row ? row->created : Timestamp();
      if (key == "before") before_ = before_ ? std::min(*before_, created) : created;
      if (key == "since") since_ = since_ ? std::max(*since_, created) : created;
    }
  }
  return {};
}

bool ImageFilter::admits(const ImageRow& row, const ImageConfigFacts& facts,
                         std::vector<NameRow>& names) const {
  // As to Moby, a name by digest alone does not keep an image from dangling.
  const bool has_tag =
      std::ranges::any_of(names, [](const NameRow& name) { return name.reference.digest().empty(); });
  if (dangling_ && *dangling_ == has_tag) return false;
  if (before_ && row.created >= *before_) return false;
  if (since_ && row.created <= *since_) return false;
  static const std::map<std::string, std::string> kNoLabels;
  const auto& labels = facts.config && facts.config->labels ? *facts.config->labels : kNoLabels;
  if (!std::ranges::all_of(labels_, [&](const std::string& wanted) { return has_label(labels, wanted); }))
    return false;
  if (std::ranges::any_of(no_labels_, [&](const std::string& other) { return has_label(labels, other); }))
    return false;
  if (references_.empty()) return true;
  std::erase_if(names, [&](const NameRow& name) {
    return std::ranges::none_of(
        references_, [&](const std::string& pattern) { return matches_reference(pattern, name.reference); });
  });
  return !names.empty();
}

}  // namespace pouch::image
