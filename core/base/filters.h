#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace pouch {

/// The `filters` of a list or a prune: the values of each key.
using FilterMap = std::map<std::string, std::vector<std::string>>;

/// InvalidArgument with Moby's text for a key that is not of `known`.
Status check_filter_keys(const FilterMap& filters, std::span<const std::string_view> known);

/// `wanted`: "key", which must be there, or "key=value".
bool has_label(const std::map<std::string, std::string>& labels, const std::string& wanted);

/// Whether the key is not asked for, or one of its values passes.
template <class Test>
bool passes_one(const FilterMap& filters, const std::string& key, const Test& test) {
  const auto at = filters.find(key);
  return at == filters.end() || at->second.empty() || std::any_of(at->second.begin(), at->second.end(), test);
}

/// Whether all of the key's values pass, if there are any.
template <class Test>
bool passes_all(const FilterMap& filters, const std::string& key, const Test& test) {
  const auto at = filters.find(key);
  return at == filters.end() || std::all_of(at->second.begin(), at->second.end(), test);
}

}  // namespace pouch
