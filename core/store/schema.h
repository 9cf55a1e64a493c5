#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/status.h"

namespace pouch::store {

/// The version of the tables that this build makes (`format` in the table `root`), and what it needs of a
/// build that opens them: a build whose kFormat is below `min_reader` must not touch the file, one below
/// `min_writer` must not write. Raise kFormat with every change; raise the others only for a change that an
/// older build would misread.
inline constexpr int64_t kFormat = 2;
inline constexpr int64_t kMinReader = 1;
inline constexpr int64_t kMinWriter = 1;

/// One step from `to_format - 1`. An additive one may run while other processes have the root open.
struct Migration {
  int64_t to_format;
  bool is_additive;
  const char* sql;  ///< statements separated by semicolons
};

/// The tables of format 1. A new database gets these and then all migrations, so that there is one way to
/// each format.
extern const char* const kSchema;
/// Null when there is none to that format.
const Migration* find_migration(int64_t to_format);

}  // namespace pouch::store
