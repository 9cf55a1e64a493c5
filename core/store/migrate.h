#pragma once

#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/store/connection.h"
#include "core/store/schema.h"

namespace pouch::store {

/// Everybody who has a database open: a lock on <path>-users that all share, and that a migration which needs
/// the database alone takes for itself.
class Users {
 public:
  /// Among them. Waits while somebody migrates alone.
  static Result<Users> enter(const std::string& path, Deadline deadline);

  /// Nobody else from now on, until share(). Conflict, with the pids of the others, while there are any.
  Status alone();
  Status share();

 private:
  Users(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Status lock(short type);
  std::vector<int> others() const;

  std::string path_;
  UniqueFd fd_;
};

/// Makes the tables, or brings them to the schema's format. `users` holds us among them.
Status prepare_tables(Connection& connection, const std::string& path, const Schema& schema, Users& users);

}  // namespace pouch::store
