#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/store/database.h"

namespace pouch::store {

/// One SQLite connection with its compiled statements. Used by one thread at a time.
class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const std::string& path, const Call& call);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Result<Statement> prepare(std::string_view sql);
  /// Statements separated by semicolons, without parameters and rows.
  Status exec(const char* sql);
  /// Pages in the write-ahead log after the last commit.
  int wal_pages() const { return wal_pages_; }
  /// How long and until which cancellation this connection waits for writers of other processes.
  void set_patience(const Call& call) { patience_ = call; }
  /// The last error of this connection, as a Status.
  Status error(int result) const;
  /// Forgets the handle without touching the file: after fork(), in the child.
  void abandon();

  sqlite3* handle() const { return handle_; }
  bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

 private:
  friend class Statement;
  struct Cached {
    sqlite3_stmt* statement = nullptr;
    bool in_use = false;
  };

  Connection(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}
  Status configure();
  void release(sqlite3_stmt* statement);
  static int on_busy(void* self, int count);
  static int on_wal(void* self, sqlite3* handle, const char* name, int pages);

  const std::string path_;
  sqlite3* handle_;
  Call patience_;
  int wal_pages_ = 0;
  std::unordered_map<std::string, Cached> cache_;
};

}  // namespace pouch::store
