#include "core/base/filters.h"

#include "core/base/text.h"

namespace pouch {

Status check_filter_keys(const FilterMap& filters, std::span<const std::string_view> known) {
  for (const auto& [key, values] : filters) {
    if (std::ranges::find(known, key) == known.end())
      return invalid_argument("Invalid filter '" + (is_valid_utf8(key) ? key : quote(key)) + "'");
  }
  return {};
}

bool has_label(const std::map<std::string, std::string>& labels, const std::string& wanted) {
  const size_t equals = wanted.find('=');
  const auto label = labels.find(wanted.substr(0, equals));
  if (label == labels.end()) return false;
  return equals == std::string::npos || label->second == wanted.substr(equals + 1);
}

}  // namespace pouch
