#include "core/volume/list_filter.h"

#include <algorithm>
#include <string_view>

namespace pouch::volume {
namespace {

bool has_label(const VolumeRow& row, const std::string& wanted) {
  if (!row.labels) return false;
  const size_t equals = wanted.find('=');
  const auto label = row.labels->find(wanted.substr(0, equals));
  if (label == row.labels->end()) return false;
  return equals == std::string::npos || label->second == wanted.substr(equals + 1);
}

Status check_keys(const FilterMap& filters, const std::vector<std::string_view>& known) {
  for (const auto& [key, values] : filters) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      return invalid_argument("Invalid filter '" + key + "'");
  }
  return {};
}

// One of 1, true, 0 and false, as often as one likes.
Result<std::optional<bool>> parse_truth(const FilterMap& filters, const std::string& key) {
  const auto at = filters.find(key);
  std::optional<bool> out;
  if (at == filters.end()) return out;
  for (const std::string& value : at->second) {
    const bool is_true = value == "true" || value == "1";
    const bool is_known = is_true || value == "false" || value == "0";
    if (!is_known || (out && *out != is_true))
      return invalid_argument("Invalid filter '" + key + "=[" + value + "]'");
    out = is_true;
  }
  return out;
}

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
  POUCH_RETURN_IF_ERROR(check_keys(filters, {"dangling", "driver", "label", "name"}));
  ListFilter out;
  out.values_ = filters;
  POUCH_ASSIGN_OR_RETURN(out.dangling_, parse_truth(filters, "dangling"));
  return out;
}

bool ListFilter::matches(const VolumeRow& row, bool is_used) const {
  return (!dangling_ || *dangling_ != is_used) &&
         any(values_, "driver", [&](const std::string& value) { return value == row.driver; }) &&
         any(values_, "name",
             [&](const std::string& value) { return row.name.find(value) != std::string::npos; }) &&
         all(values_, "label", [&](const std::string& value) { return has_label(row, value); });
}

Result<PruneFilter> PruneFilter::parse(const FilterMap& filters) {
  POUCH_RETURN_IF_ERROR(check_keys(filters, {"all", "label", "label!"}));
  PruneFilter out;
  out.values_ = filters;
  POUCH_ASSIGN_OR_RETURN(const auto wants_all, parse_truth(filters, "all"));
  out.all_ = wants_all.value_or(false);
  return out;
}

bool PruneFilter::matches(const VolumeRow& row) const {
  return (all_ || row.is_anonymous) &&
         all(values_, "label", [&](const std::string& value) { return has_label(row, value); }) &&
         all(values_, "label!", [&](const std::string& value) { return !has_label(row, value); });
}

}  // namespace pouch::volume
