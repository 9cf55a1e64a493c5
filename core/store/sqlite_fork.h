#pragma once

#include <string>

namespace pouch::store {

// A child made by fork() inherits SQLite's memory, in two respects a trap for it:
//
// - Its static mutexes may be held by threads that the child does not have. So fork() takes them all first,
// in the
//   order in which SQLite nests them.
// - SQLite knows which locks the process has, once per inode of a database. In the child that is not true any
//   more: locks of POSIX are not inherited, and the writer's that a thread of the parent had would never
//   become free. So in a child our databases have other inode numbers for SQLite (its own hook for system
//   calls), and what it knows of the parent's connections is never looked at again.

/// Before the first connection of this process to the database.
void make_sqlite_survive_fork(const std::string& database);

}  // namespace pouch::store
