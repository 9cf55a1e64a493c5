#include "core/volume/list_filter.h"

#include <array>
#include <string_view>

namespace pouch::volume {
namespace {

constexpr std::array<std::string_view, 4> kListKeys{"dangling", "driver", "label", "name"};
constexpr std::array<std::string_view, 3> kPruneKeys{"all", "label", "label!"};

bool is_labelled(const VolumeRow& row, const std::string& wanted) {
  return row.labels && has_label(*row.labels, wanted);
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

}  // namespace

Result<ListFilter> ListFilter::parse(const FilterMap& filters) {
  POUCH_RETURN_IF_ERROR(check_filter_keys(filters, kListKeys));
  ListFilter out;
  out.values_ = filters;
  POUCH_ASSIGN_OR_RETURN(out.dangling_, parse_truth(filters, "dangling"));
  return out;
}

bool ListFilter::matches(const VolumeRow& row, bool is_used) const {
  return (!dangling_ || *dangling_ != is_used) &&
         passes_one(values_, "driver", [&](const std::string& value) { return value == row.driver; }) &&
         passes_one(values_, "name",
                    [&](const std::string& value) { return row.name.find(value) != std::string::npos; }) &&
         passes_all(values_, "label", [&](const std::string& value) { return is_labelled(row, value); });
}

Result<PruneFilter> PruneFilter::parse(const FilterMap& filters) {
  POUCH_RETURN_IF_ERROR(check_filter_keys(filters, kPruneKeys));
  PruneFilter out;
  out.values_ = filters;
  POUCH_ASSIGN_OR_RETURN(const auto wants_all, parse_truth(filters, "all"));
  out.all_ = wants_all.value_or(false);
  return out;
}

bool PruneFilter::matches(const VolumeRow& row) const {
  return (all_ || row.is_anonymous) &&
         passes_all(values_, "label", [&](const std::string& value) { return is_labelled(row, value); }) &&
         passes_all(values_, "label!", [&](const std::string& value) { return !is_labelled(row, value); });
}

}  // namespace pouch::volume
