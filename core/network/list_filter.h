#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/filters.h"
#include "core/base/status.h"
#include "core/network/records.h"

namespace pouch::network {

/// Compiled filters of network.list. Values of one key are alternatives, except labels, which must all hold;
/// all keys must hold.
class ListFilter {
 public:
  /// InvalidArgument with Moby's text for an unknown key or a bad value.
  static Result<ListFilter> parse(const FilterMap& filters);
  bool matches(const NetworkRow& row, bool is_predefined, bool is_dangling) const;

 private:
  FilterMap values_;
  std::optional<bool> dangling_;
};

/// The same for network.prune.
class PruneFilter {
 public:
  static Result<PruneFilter> parse(const FilterMap& filters);
  bool matches(const NetworkRow& row) const;

 private:
  FilterMap values_;
  std::optional<Timestamp> until_;
};

}  // namespace pouch::network
