#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/filters.h"
#include "core/base/status.h"
#include "core/volume/records.h"

namespace pouch::volume {

/// On volumes that nobody has named.
inline constexpr const char* kAnonymousLabel = "com.docker.volume.anonymous";

/// Compiled filters of volume.list. Values of one key are alternatives, except labels, which must all hold;
/// all keys must hold.
class ListFilter {
 public:
  /// InvalidArgument with Moby's text for an unknown key or a bad value.
  static Result<ListFilter> parse(const FilterMap& filters);
  bool matches(const VolumeRow& row, bool is_used) const;

 private:
  FilterMap values_;
  std::optional<bool> dangling_;
};

/// The same for volume.prune.
class PruneFilter {
 public:
  static Result<PruneFilter> parse(const FilterMap& filters);
  bool matches(const VolumeRow& row) const;

 private:
  FilterMap values_;
  bool all_ = false;
};

}  // namespace pouch::volume
