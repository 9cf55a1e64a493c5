#include "core/network/list_filter.h"

#include <array>
#include <string_view>

#include "core/base/point_in_time.h"
#include "core/base/text.h"

namespace pouch::network {
namespace {

Status bad_value(const std::string& key, const std::string& value) {
  return invalid_argument("invalid filter '" + key + "=[" + value + "]'");
}

constexpr std::array<std::string_view, 7> kListKeys{"dangling", "driver", "id",  "label",
                                                    "name",     "scope",  "type"};
constexpr std::array<std::string_view, 3> kPruneKeys{"label", "label!", "until"};

}  // namespace

Result<ListFilter> ListFilter::parse(const FilterMap& filters) {
  POUCH_RETURN_IF_ERROR(check_filter_keys(filters, kListKeys));
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
         passes_one(values_, "driver", [&](const std::string& value) { return value == row.driver; }) &&
         passes_one(values_, "id", part_of(row.id)) && passes_one(values_, "name", part_of(row.name)) &&
         passes_one(values_, "scope", [](const std::string& value) { return value == "local"; }) &&
         passes_one(values_, "type",
                    [&](const std::string& value) { return (value == "builtin") == is_predefined; }) &&
         passes_all(values_, "label", [&](const std::string& value) { return has_label(row.labels, value); });
}

Result<PruneFilter> PruneFilter::parse(const FilterMap& filters) {
  POUCH_RETURN_IF_ERROR(check_filter_keys(filters, kPruneKeys));
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
         passes_all(values_, "label",
                    [&](const std::string& value) { return has_label(row.labels, value); }) &&
         passes_all(values_, "label!",
                    [&](const std::string& value) { return !has_label(row.labels, value); });
}

}  // namespace pouch::network
