#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/schema.h"

struct sqlite3_stmt;

namespace pouch::store {

class Connection;
class Database;

/// What survives what once commit() has answered.
enum class Durability {
  kKept,        ///< also a power cut: one sync, shared by all commits that wait at the same time
  kBootScoped,  ///< any kill, but after a crash of the host perhaps not: no fsync
};

/// One run of a prepared statement. Belongs to its session and to the session's thread.
///
///   POUCH_ASSIGN_OR_RETURN(Statement find, session.prepare("SELECT state, pid FROM containers WHERE id=?"));
///   find.bind(id);
///   POUCH_ASSIGN_OR_RETURN(const bool found, find.step());
///   if (found) state = find.text(0), pid = find.integer(1);
class Statement {
 public:
  ~Statement();  ///< back to the connection's cache
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;

  /// Values for the parameters from ?1 on: integers, bool, double, text, std::optional and nullptr (NULL).
  /// Text is copied.
  template <class... Values>
  Statement& bind(const Values&... values) {
    int index = 0;
    (bind_at(++index, values), ...);
    return *this;
  }
  Statement& bind_at(int index, int64_t value);
  Statement& bind_at(int index, int value) { return bind_at(index, int64_t{value}); }
  Statement& bind_at(int index, uint32_t value) { return bind_at(index, int64_t{value}); }
  Statement& bind_at(int index, bool value) { return bind_at(index, int64_t{value ? 1 : 0}); }
  Statement& bind_at(int index, double value);
  Statement& bind_at(int index, std::string_view value);
  Statement& bind_at(int index, const char* value) { return bind_at(index, std::string_view(value)); }
  Statement& bind_at(int index, const std::string& value) { return bind_at(index, std::string_view(value)); }
  Statement& bind_at(int index, std::nullptr_t);
  /// Zero ("never") is NULL.
  Statement& bind_at(int index, Timestamp value);
  template <class Tag>
  Statement& bind_at(int index, const StrongId<Tag>& value) {
    return bind_at(index, std::string_view(value.str()));
  }
  template <class T>
  Statement& bind_at(int index, const std::optional<T>& value) {
    return value ? bind_at(index, *value) : bind_at(index, nullptr);
  }

  /// True: a row is there to be read. False: no more rows.
  Result<bool> step();
  /// Runs to the end; rows are ignored.
  Status run();
  /// To be run again, parameters cleared.
  void reset();

  // Columns of the row, from 0. NULL reads as 0, "" and Timestamp zero.
  bool is_null(int column) const;
  int64_t integer(int column) const;
  bool boolean(int column) const { return integer(column) != 0; }
  double real(int column) const;
  std::string text(int column) const;
  std::optional<std::string> optional_text(int column) const;
  Timestamp time(int column) const;

 private:
  friend class Connection;
  Statement(Connection* connection, sqlite3_stmt* statement)
      : connection_(connection), statement_(statement) {}

  Connection* connection_;
  sqlite3_stmt* statement_;
  Status bind_error_;
};

/// A lease of one connection: a transaction under way. Belongs to one thread. Never hold one across an RPC,
/// an exec, a wait or a data sync.
class Session {
 public:
  Session(Session&& other) noexcept;
  Session& operator=(Session&&) = delete;

  /// Compiled once per connection; use constant texts with parameters.
  Result<Statement> prepare(std::string_view sql);
  /// Prepares, binds and runs; the number of rows that it changed (a compare-and-swap: 1 or 0).
  template <class... Values>
  Result<int64_t> run(std::string_view sql, const Values&... values) {
    POUCH_ASSIGN_OR_RETURN(Statement statement, prepare(sql));
    statement.bind(values...);
    POUCH_RETURN_IF_ERROR(statement.run());
    return changes();
  }
  /// Rows changed by the last INSERT, UPDATE or DELETE.
  int64_t changes() const;

 protected:
  Session(Database* database, std::unique_ptr<Connection> connection);
  ~Session();
  Connection* connection() const { return connection_.get(); }
  Database* database() const { return database_; }

 private:
  Database* database_;
  std::unique_ptr<Connection> connection_;
};

/// Reads, all from the same state of the database; sees no later commits. Waits for no writer.
class Snapshot : public Session {
 public:
  ~Snapshot();
  Snapshot(Snapshot&&) noexcept = default;

 private:
  friend class Database;
  using Session::Session;
};

/// BEGIN IMMEDIATE ... commit(); rolled back when destroyed without. One at a time over all processes, so be
/// short. A thread that has one must not begin a second one.
class Transaction : public Session {
 public:
  ~Transaction();
  Transaction(Transaction&& other) noexcept;

  /// Others see the change at once; of the class kKept the answer comes when it is safe. An error says that
  /// nothing was changed, so that callers may undo. A sync that fails is therefore none: what was written
  /// holds, though perhaps not over a power cut, which the log says.
  Status commit();
  /// Runs after the commit succeeded, on the committing thread: bells, wake-ups.
  void on_commit(std::function<void()> callback);

 private:
  friend class Database;
  Transaction(Database* database, std::unique_ptr<Connection> connection, Durability durability);
  void finish();

  const Durability durability_;
  bool open_ = true;
  std::vector<std::function<void()>> on_commit_;
};

/// One SQLite database in WAL mode, shared with any number of other threads and processes. Thread-safe: each
/// session gets a connection of its own from a small pool; writers of this process queue in order, those of
/// others are waited for until the deadline.
///
/// Errors: "database <path>: <what SQLite said>". A UNIQUE or PRIMARY KEY violation is AlreadyExists, another
/// constraint Internal, a full disk ResourceExhausted, a damaged file DataLoss, a writer that was not our
/// turn in time DeadlineExceeded. Forked: the object was inherited over fork(); it may only be destroyed,
/// which then touches nothing.
class Database {
 public:
  /// Creates the file (0600) and its tables when absent, migrates. Refuses NFS, FUSE, overlay and SMB
  /// (InvalidArgument), a file of a format that is too new, and a migration that needs the file alone while
  /// others have it open (Conflict); the message has the way out.
  static Result<std::unique_ptr<Database>> open(const std::string& path, Deadline deadline,
                                                const Schema& schema = our_schema());
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<Snapshot> read();
  /// Waits for its turn until the call's deadline (10 s when it has none) or its cancellation.
  Result<Transaction> begin(Durability durability, const Call& call);

  const std::string& path() const { return path_; }

 private:
  friend class Session;
  friend class Snapshot;
  friend class Transaction;
  struct Pool;
  Database(std::string path, std::unique_ptr<Pool> pool);
  Result<std::unique_ptr<Connection>> take();
  void give_back(std::unique_ptr<Connection> connection);
  void copy_back();
  bool is_forked() const;

  const std::string path_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace pouch::store
