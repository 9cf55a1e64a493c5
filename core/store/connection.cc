#include "core/store/connection.h"

#include <algorithm>
#include <chrono>
#include <sstream>
#include <thread>
#include <utility>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/store/sqlite_fork.h"

namespace pouch::store {
namespace {

// Beyond this many different texts a statement is compiled for one use: somebody builds SQL at run time.
constexpr size_t kMaxCached = 256;

constexpr const char* kPragmas =
    // Readers do not wait for writers, commits are one append; the mode is a property of the file.
    "PRAGMA journal_mode=WAL;"
    // REFERENCES are enforced only when asked for.
    "PRAGMA foreign_keys=ON;"
    // Nothing in the file (views, triggers) may call functions with side effects.
    "PRAGMA trusted_schema=OFF;"
    // A damaged page is told, not read.
    "PRAGMA cell_size_check=ON;"
    // No mapping of the database: an I/O error would be a SIGBUS in somebody else's process.
    "PRAGMA mmap_size=0;"
    // Sorting needs no files in a folder of which we know nothing.
    "PRAGMA temp_store=MEMORY;"
    // Commits do not sync: who wants that waits for Database's own sync of the log, outside the writer's
    // lock.
    "PRAGMA synchronous=NORMAL;"
    // The log is cut to so many bytes when it has been copied back (which Database does).
    "PRAGMA journal_size_limit=8388608;";

Code code_of(int extended) {
  switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
      return Code::kAlreadyExists;
    default:
      break;
  }
  switch (extended & 0xFF) {  // the primary code
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kDeadlineExceeded;
    case SQLITE_FULL:
      return Code::kResourceExhausted;
    case SQLITE_NOMEM:
      return Code::kOutOfMemory;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return Code::kPermissionDenied;
    default:
      return Code::kInternal;
  }
}

// "running" of "UPDATE … SET state = 'running', …".
std::string state_set_by(std::string_view sql) {
  constexpr std::string_view kSet = "SET state = '";
  const size_t at = sql.find(kSet);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = sql.substr(at + kSet.size());
  return std::string(rest.substr(0, rest.find('\'')));
}

// The point of a statement that writes rows, "row.<table>.<verb>[-<state>]"; of others "".
std::string point_of(sqlite3_stmt* statement) {
  if (sqlite3_stmt_readonly(statement) != 0 || sqlite3_stmt_busy(statement) != 0) return {};
  std::istringstream words(sqlite3_sql(statement));
  std::string verb;
  std::string word;
  words >> verb >> word;
  if (verb != "INSERT" && verb != "UPDATE" && verb != "DELETE") return {};
  while (verb != "UPDATE" && word != "INTO" && word != "FROM" && words >> word) {
  }
  if (verb == "UPDATE" && word == "OR") words >> word >> word;
  if (verb != "UPDATE") words >> word;
  const std::string state = state_set_by(sqlite3_sql(statement));
  return "row." + word.substr(0, word.find('(')) + "." + to_lower(verb) + (state.empty() ? "" : "-" + state);
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, const Call& call) {
  make_sqlite_survive_fork(path);
  sqlite3* handle = nullptr;
  // NOMUTEX: a connection is used by one thread at a time.
  const int opened = sqlite3_open_v2(
      path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  std::unique_ptr<Connection> connection(new Connection(path, handle));
  if (handle == nullptr) return Status(Code::kOutOfMemory, "database " + path + ": out of memory");
  if (opened != SQLITE_OK) return connection->error(opened);
  connection->set_patience(call);
  POUCH_RETURN_IF_ERROR(connection->configure());
  return connection;
}

Connection::~Connection() {
  if (handle_ == nullptr) return;
  for (const auto& [sql, cached] : cache_) sqlite3_finalize(cached.statement);
  sqlite3_close_v2(handle_);
}

void Connection::abandon() {
  // The child shares the parent's descriptors; closing could checkpoint and delete the parent's log.
  handle_ = nullptr;
  cache_.clear();
}

Status Connection::configure() {
  sqlite3_busy_handler(handle_, &Connection::on_busy, this);
  sqlite3_wal_hook(handle_, &Connection::on_wal, this);  // in place of copying back within a commit
  // The last process to leave would otherwise copy the log back and sync, which its caller would wait for.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // No SQL may damage the file by design (writable_schema and the like).
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  int attempt = 0;
  while (true) {
    const Status status = exec(kPragmas);
    // The change to WAL answers busy at once where waiting could be a deadlock: the loser tries again.
    if (status.code() != Code::kDeadlineExceeded || on_busy(this, attempt++) == 0) return status;
  }
}

int Connection::on_busy(void* self, int count) {
  const Call& call = static_cast<Connection*>(self)->patience_;
  if (!call.check().is_ok()) return 0;
  // Writers hold the lock for some 0.1 ms (boot-scoped) to some ms (kept, one fsync).
  const int64_t pause_us = std::min<int64_t>(int64_t{100} << std::min(count, 6), 5000);
  const int64_t left_us = call.deadline.is_never() ? pause_us : call.deadline.remaining_ns() / 1000 + 1;
  std::this_thread::sleep_for(std::chrono::microseconds(std::min(pause_us, left_us)));
  return 1;
}

int Connection::on_wal(void* self, sqlite3*, const char*, int pages) {
  static_cast<Connection*>(self)->wal_pages_ = pages;
  return SQLITE_OK;
}

Status Connection::error(int result) const {
  const int extended = handle_ != nullptr ? sqlite3_extended_errcode(handle_) : result;
  const int code = (extended & 0xFF) == (result & 0xFF) ? extended : result;
  const char* said = handle_ != nullptr && code == extended ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  if ((code & 0xFF) == SQLITE_BUSY) {
    if (Status given_up = patience_.check(); !given_up.is_ok()) {
      return given_up.prefix("database " + path_ + ": another process is writing");
    }
  }
  return {code_of(code), "database " + path_ + ": " + said};
}

Status Connection::exec(const char* sql) {
  const int result = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? Status() : error(result);
}

Result<Statement> Connection::prepare(std::string_view sql) {
  const auto at = cache_.find(std::string(sql));
  if (at != cache_.end() && !at->second.in_use) {
    at->second.in_use = true;
    return Statement(this, at->second.statement);
  }
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return error(result);
  if (at == cache_.end() && cache_.size() < kMaxCached) cache_[std::string(sql)] = {statement, true};
  return Statement(this, statement);
}

void Connection::release(sqlite3_stmt* statement) {
  if (handle_ == nullptr) return;
  const auto at = cache_.find(sqlite3_sql(statement));
  if (at == cache_.end() || at->second.statement != statement) {
    sqlite3_finalize(statement);
    return;
  }
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  at->second.in_use = false;
}

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_),
      statement_(std::exchange(other.statement_, nullptr)),
      bind_error_(std::move(other.bind_error_)) {}

Statement::~Statement() {
  if (statement_ != nullptr) connection_->release(statement_);
}

#define POUCH_BIND(call)                                                                      \
  do {                                                                                        \
    const int result = (call);                                                                \
    if (result != SQLITE_OK && bind_error_.is_ok()) bind_error_ = connection_->error(result); \
    return *this;                                                                             \
  } while (false)

Statement& Statement::bind_at(int index, int64_t value) {
  POUCH_BIND(sqlite3_bind_int64(statement_, index, value));
}

Statement& Statement::bind_at(int index, double value) {
  POUCH_BIND(sqlite3_bind_double(statement_, index, value));
}

Statement& Statement::bind_at(int index, std::string_view value) {
  // An empty view may have no address, which SQLite would take for NULL.
  const char* data = value.data() != nullptr ? value.data() : "";
  POUCH_BIND(sqlite3_bind_text64(statement_, index, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

Statement& Statement::bind_at(int index, std::nullptr_t) {
  POUCH_BIND(sqlite3_bind_null(statement_, index));
}

#undef POUCH_BIND

Statement& Statement::bind_at(int index, Timestamp value) {
  return value.is_zero() ? bind_at(index, nullptr) : bind_at(index, value.ns);
}

Result<bool> Statement::step() {
  POUCH_RETURN_IF_ERROR(bind_error_);
  const std::string point = has_faults() ? point_of(statement_) : std::string();
  if (!point.empty()) POUCH_RETURN_IF_ERROR(fault_status(point, "before"));
  const int result = sqlite3_step(statement_);
  if (!point.empty()) fault_kill(point, "after");
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  Status status = connection_->error(result);
  sqlite3_reset(statement_);
  return status;
}

Status Statement::run() {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool row, step());
    if (!row) return {};
  }
}

void Statement::reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  bind_error_ = Status();
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string Statement::text(int column) const {
  const unsigned char* data = sqlite3_column_text(statement_, column);
  if (data == nullptr) return {};
  return {reinterpret_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

std::optional<std::string> Statement::optional_text(int column) const {
  if (is_null(column)) return std::nullopt;
  return text(column);
}

Timestamp Statement::time(int column) const {
  return is_null(column) ? Timestamp{} : Timestamp{integer(column)};
}

}  // namespace pouch::store
