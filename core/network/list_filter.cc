#include "core/network/list_filter.h"

#include <algorithm>
#include <string_view>

#include "core/base/point_in_time.h"
#include "core/base/text.h"

namespace pouch::network {
namespace {

bool has_label(const Texts& labels, const std::string& wanted) {
  const size_t equals = wanted.find('=');
  const auto label = labels.find(wanted.substr(0, equals));
  if (label == labels.end()) return false;
  return equals == std::string::npos || label->second == wanted.substr(equals + 1);
}

Status bad_value(const std::string& key, const std::string& value) {
  return invalid_argument("invalid filter '" + key + "=[" + value + "]'");
}

Status check_keys(const FilterMap& filters, const std::vector<std::string_view>& known) {
  for (const auto& [key, values] : filters) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return invalid_argument("Invalid filter '" + key + "'");
    }
  }
  return {};
}

// Whether the key is not asked for, or one of its values passes.
template <class Test>
bool any(const FilterMap& values, const std::string& key, const Test& test) {
  const auto at = values.find(key);
  return at == values.end() || at->second.empty() || std::any_of(at->second.begin(), at->second.end(), test);
}

template <class Test>
bool all(const FilterMap& values, const std::string& key, const Test& test) {
  const auto at = values.find(key);
  return at == values.end() || std::all_of(at->second.begin(), at->second.end(), test);
}

}  // namespace

Result<ListFilter> ListFilter::parse(const FilterMap& filters) {
  POUCH_RETURN_IF_ERROR(check_keys(filters, {"dangling", "driver", "id", "label", "name", "scope", "type"}));
  ListFilter out;
  out.values_ = filters;
  for (const auto& [key, values] : filters) {
    for (const std::string& value : values) {
      if (key == "type" && value != "custom" && value != "builtin") {
        return invalid_argument("invalid filter: 'type'='" + value + "'");
      }
      if (key != "dangling") continue;
      const bool is_true = value == "true" || value == "1";
      if (!is_true && value != "false" && value != "0") return bad_value(key, value);
      out.dangling_ = is_true;
    }
  }
  return out;
}

bool ListFilter::matches(const NetworkRow& row, bool is_predefined, bool is_dangling) const {
  // Of names and ids a part is enough, as with Docker.
  const auto part_of = [](const std::string& text) {
    return [&text](const std::string& value) { return text.find(value) != std::string::npos; };
  };
  return (!dangling_ || *dangling_ == is_dangling) &&
         any(values_, "driver", [&](const std::string& value) { return value == row.driver; }) &&
         any(values_, "id", part_of(row.id)) && any(values_, "name", part_of(row.name)) &&
         any(values_, "scope", [](const std::string& value) { return value == "local"; }) &&
         any(values_, "type",
             [&](const std::string& value) { return (value == "builtin") == is_predefined; }) &&
         all(values_, "label", [&](const std::string& value) { return has_label(row.labels, value); });
}

Result<PruneFilter> PruneFilter::parse(const FilterMap& filters) {
  POUCH_RETURN_IF_ERROR(check_keys(filters, {"label", "label!", "until"}));
  PruneFilter out;
  out.values_ = filters;
  const auto until = filters.find("until");
  if (until == filters.end()) return out;
  if (until->second.size() != 1) return invalid_argument("more than one until filter specified");
  const auto time = parse_point_in_time(until->second.front(), Timestamp::now());
  if (!time.is_ok()) return bad_value("until", until->second.front());
  out.until_ = *time;
  return out;
}

bool PruneFilter::matches(const NetworkRow& row) const {
  return (!until_ || row.created < *until_) &&
         all(values_, "label", [&](const std::string& value) { return has_label(row.labels, value); }) &&
         all(values_, "label!", [&](const std::string& value) { return !has_label(row.labels, value); });
}

}  // namespace pouch::network
