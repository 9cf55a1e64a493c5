#pragma once

#include <cstdint>
#include <span>

namespace pouch::store {

/// One step from `to_format - 1`.
///
/// An additive one (tables, columns with a default, indices, triggers) may run while builds of older formats
/// have the root open and go on: they must read and write it as before. It leaves the minimums alone. Any
/// other raises `min_reader` or `min_writer` to its own format, and runs only when nobody else has the root
/// open.
struct Migration {
  int64_t to_format;
  int64_t min_reader;  ///< 0: as before
  int64_t min_writer;  ///< 0: as before
  const char* sql;     ///< statements separated by semicolons

  bool is_additive() const { return min_reader == 0 && min_writer == 0; }
};

/// What a build makes of the database. `format` in the table `root` is the newest format that has touched it;
/// a build whose own is below `min_reader` or `min_writer` there must not open it.
struct Schema {
  const char* first;  ///< the tables of format 1; a new database gets these and then all migrations
  std::span<const Migration> migrations;  ///< to 2, 3, …

  int64_t format() const { return static_cast<int64_t>(migrations.size()) + 1; }
};

/// This build's. To change the database, add a migration to schema.cc and a line to docs/state.md.
const Schema& our_schema();

}  // namespace pouch::store
