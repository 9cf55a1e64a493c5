#include "core/store/database.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "core/base/executor.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/unique_fd.h"
#include "core/store/connection.h"
#include "core/store/file_system.h"
#include "core/store/migrate.h"
#include "core/store/wal_sync.h"

namespace pouch::store {
namespace {

constexpr int64_t kDefaultPatienceMs = 10'000;
// More than that many threads reading at once is rare; further connections are closed after use.
constexpr size_t kMaxIdle = 8;
// The log is copied back to the database when it has more pages of 4 KiB than that.
constexpr int kCopyBackPages = 1000;

Call patient(const Call& call) {
  Call out = call;
  if (out.deadline.is_never()) out.deadline = Deadline::after_ms(kDefaultPatienceMs);
  return out;
}

Status create_file(const std::string& path) {
  // SQLite would make it with the process's umask; its log and shared memory take the file's mode.
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_valid()) return errno_status(errno, "open database " + path);
  return check_file_system(fd.get(), path);
}

}  // namespace

struct Database::Pool {
  Pool(const std::string& path, Users here) : users(std::move(here)), wal(path) {}

  const pid_t pid = ::getpid();
  std::mutex mutex;
  std::condition_variable writer_done;
  // Below protected by mutex.
  std::vector<std::unique_ptr<Connection>> idle;
  bool is_writing = false;
  bool is_copying_back = false;

  const Users users;
  WalSync wal;
  Executor copier{1};  // its thread lives some seconds; last, for it ends before what its task uses

  bool is_forked() const { return ::getpid() != pid; }

  Status enter_writer(const Call& call) {
    std::unique_lock lock(mutex);
    POUCH_RETURN_IF_ERROR(wait_for(lock, writer_done, call, [this] {
                            return !is_writing;
                          }).prefix("wait for the database's writer"));
    is_writing = true;
    return {};
  }

  void leave_writer() {
    {
      const std::lock_guard lock(mutex);
      is_writing = false;
    }
    writer_done.notify_all();
  }
};

Database::Database(std::string path, std::unique_ptr<Pool> pool)
    : path_(std::move(path)), pool_(std::move(pool)) {}

Database::~Database() {
  if (!pool_->is_forked()) {
    pool_->copier.stop();
    return;
  }
  // Threads, locks and connections are the parent's.
  for (auto& connection : pool_->idle) connection->abandon();
  [[maybe_unused]] Pool* const left = pool_.release();
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, Deadline deadline,
                                                 const Schema& schema) {
  POUCH_RETURN_IF_ERROR(create_file(path));
  const Call call = patient({deadline, nullptr, {}});
  POUCH_ASSIGN_OR_RETURN(Users users, Users::enter(path, call.deadline));
  POUCH_ASSIGN_OR_RETURN(auto connection, Connection::open(path, call));
  POUCH_RETURN_IF_ERROR(prepare_tables(*connection, path, schema, users));
  std::unique_ptr<Database> database(new Database(path, std::make_unique<Pool>(path, std::move(users))));
  database->give_back(std::move(connection));
  return database;
}

bool Database::is_forked() const {
  return pool_->is_forked();
}

Result<std::unique_ptr<Connection>> Database::take() {
  if (pool_->is_forked()) {
    return Status(Code::kForked, "database " + path_ + ": it was opened before fork(); open it again");
  }
  {
    const std::lock_guard lock(pool_->mutex);
    if (!pool_->idle.empty()) {
      auto connection = std::move(pool_->idle.back());
      pool_->idle.pop_back();
      return connection;
    }
  }
  return Connection::open(path_, patient({}));
}

void Database::give_back(std::unique_ptr<Connection> connection) {
  if (pool_->is_forked()) {
    connection->abandon();
    return;
  }
  if (connection->in_transaction()) return;  // a rollback failed: closing it ends the transaction
  const std::lock_guard lock(pool_->mutex);
  if (pool_->idle.size() < kMaxIdle) pool_->idle.push_back(std::move(connection));
}

Result<Snapshot> Database::read() {
  POUCH_ASSIGN_OR_RETURN(auto connection, take());
  connection->set_patience(patient({}));
  Snapshot snapshot(this, std::move(connection));
  POUCH_RETURN_IF_ERROR(snapshot.run("BEGIN").status());
  return snapshot;
}

Result<Transaction> Database::begin(Durability durability, const Call& call) {
  const Call patience = patient(call);
  POUCH_ASSIGN_OR_RETURN(auto connection, take());
  if (Status entered = pool_->enter_writer(patience); !entered.is_ok()) {
    give_back(std::move(connection));
    return entered;
  }
  Transaction transaction(this, std::move(connection), durability);  // leaves the writer's place when it ends
  transaction.connection()->set_patience(patience);
  POUCH_RETURN_IF_ERROR(transaction.run("BEGIN IMMEDIATE").status());
  return transaction;
}

// What a commit of SQLite would do now and then, at the cost of its caller.
void Database::copy_back() {
  {
    const std::lock_guard lock(pool_->mutex);
    if (std::exchange(pool_->is_copying_back, true)) return;
  }
  pool_->copier.submit([this] {
    if (auto connection = take(); connection.is_ok()) {
      // Waits for nobody; what readers still need stays in the log for the next time.
      const Status copied = (*connection)->exec("PRAGMA wal_checkpoint(PASSIVE)");
      if (!copied.is_ok()) log_debug("store", "copy the log back: " + copied.message());
      give_back(std::move(*connection));
    }
    const std::lock_guard lock(pool_->mutex);
    pool_->is_copying_back = false;
  });
}

Session::Session(Database* database, std::unique_ptr<Connection> connection)
    : database_(database), connection_(std::move(connection)) {}

Session::Session(Session&& other) noexcept
    : database_(other.database_), connection_(std::move(other.connection_)) {}

Session::~Session() {
  if (connection_) database_->give_back(std::move(connection_));
}

Result<Statement> Session::prepare(std::string_view sql) {
  if (!connection_) return internal_error("database " + database_->path() + ": the session has ended");
  return connection_->prepare(sql);
}

int64_t Session::changes() const {
  return connection_ ? sqlite3_changes64(connection_->handle()) : 0;
}

Snapshot::~Snapshot() {
  if (connection() != nullptr && !database()->is_forked()) connection()->exec("ROLLBACK").ignore();
}

Transaction::Transaction(Database* database, std::unique_ptr<Connection> connection, Durability durability)
    : Session(database, std::move(connection)), durability_(durability) {}

Transaction::Transaction(Transaction&& other) noexcept
    : Session(std::move(other)),
      durability_(other.durability_),
      open_(std::exchange(other.open_, false)),
      on_commit_(std::move(other.on_commit_)) {}

Transaction::~Transaction() {
  if (!open_) return;
  if (!database()->is_forked() && connection()->in_transaction()) {
    connection()->exec("ROLLBACK").ignore();
  }
  finish();
}

void Transaction::finish() {
  open_ = false;
  if (!database()->is_forked()) database()->pool_->leave_writer();
}

Status Transaction::commit() {
  if (!open_) return internal_error("database " + database()->path() + ": the transaction has ended");
  POUCH_RETURN_IF_ERROR(fault_status("store.commit", "before"));
  const Result<int64_t> committed = run("COMMIT");
  if (!committed.is_ok()) return committed.status();  // rolled back by the destructor
  fault_kill("store.commit", "after");
  finish();
  for (const auto& callback : on_commit_) callback();
  const Status kept = durability_ == Durability::kKept ? database()->pool_->wal.sync() : Status();
  if (!kept.is_ok()) log_error("store", "a change may not outlast a power cut: " + kept.message());
  if (connection()->wal_pages() > kCopyBackPages) database()->copy_back();
  return {};
}

void Transaction::on_commit(std::function<void()> callback) {
  on_commit_.push_back(std::move(callback));
}

}  // namespace pouch::store
