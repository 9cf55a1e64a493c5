#include "core/store/migrate.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/store/database.h"

namespace pouch::store {
namespace {

constexpr int kPauseMs = 5;
constexpr int kTries = 20;  // against others that are just opening it

std::vector<std::string> entries_of(const std::string& folder) {
  std::vector<std::string> names;
  DIR* const listing = ::opendir(folder.c_str());
  if (listing == nullptr) return names;
  const ScopeGuard close([listing] { ::closedir(listing); });
  while (const dirent* entry = ::readdir(listing)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  return names;
}

bool has_open(const std::string& process, const struct stat& file) {
  const std::string folder = "/proc/" + process + "/fd";
  return std::ranges::any_of(entries_of(folder), [&](const std::string& fd) {
    struct stat facts {};
    return ::stat((folder + "/" + fd).c_str(), &facts) == 0 && facts.st_dev == file.st_dev &&
           facts.st_ino == file.st_ino;
  });
}

/// The value in the table `root`, -1 when the table is not there.
Result<int64_t> root_number(Connection& connection, const char* key) {
  POUCH_ASSIGN_OR_RETURN(Statement table,
                         connection.prepare("SELECT 1 FROM sqlite_schema WHERE name='root'"));
  POUCH_ASSIGN_OR_RETURN(const bool has_table, table.step());
  if (!has_table) return -1;
  POUCH_ASSIGN_OR_RETURN(Statement find, connection.prepare("SELECT value FROM root WHERE key=?"));
  find.bind(key);
  POUCH_ASSIGN_OR_RETURN(const bool found, find.step());
  return found ? find.integer(0) : 0;
}

Status set_root_number(Connection& connection, const char* key, int64_t value) {
  POUCH_ASSIGN_OR_RETURN(Statement put,
                         connection.prepare("INSERT INTO root(key,value) VALUES(?1,?2) "
                                            "ON CONFLICT(key) DO UPDATE SET value = excluded.value"));
  return put.bind(key, std::to_string(value)).run();
}

Status migrate(Connection& connection, int64_t from, const Schema& schema) {
  for (const Migration& step : schema.migrations) {
    if (step.to_format <= from) continue;
    POUCH_RETURN_IF_ERROR(
        connection.exec(step.sql).prefix("migrate to format " + std::to_string(step.to_format)));
    if (step.min_reader != 0)
      POUCH_RETURN_IF_ERROR(set_root_number(connection, "min_reader", step.min_reader));
    if (step.min_writer != 0)
      POUCH_RETURN_IF_ERROR(set_root_number(connection, "min_writer", step.min_writer));
  }
  return set_root_number(connection, "format", schema.format());
}

Status make_tables(Connection& connection, const Schema& schema) {
  POUCH_RETURN_IF_ERROR(connection.exec(schema.first));
  for (const char* key : {"min_reader", "min_writer"}) {
    POUCH_RETURN_IF_ERROR(set_root_number(connection, key, 1));
  }
  return migrate(connection, 1, schema);
}

Status check_format(Connection& connection, const std::string& path, const Schema& schema) {
  POUCH_ASSIGN_OR_RETURN(const int64_t reader, root_number(connection, "min_reader"));
  POUCH_ASSIGN_OR_RETURN(const int64_t writer, root_number(connection, "min_writer"));
  if (reader <= schema.format() && writer <= schema.format()) return {};
  return conflict("database " + path + ": it needs a Pouch that knows format " +
                  std::to_string(std::max(reader, writer)) + ", this one knows " +
                  std::to_string(schema.format()) + "; use the newer Pouch that wrote it");
}

Status make_or_migrate(Connection& connection, const Schema& schema) {
  POUCH_RETURN_IF_ERROR(connection.exec("BEGIN IMMEDIATE"));
  // Looked at again under the lock: another process may have been first.
  const Result<int64_t> format = root_number(connection, "format");
  Status status = format.status();
  if (status.is_ok() && *format < 0) {
    status = make_tables(connection, schema);
  } else if (status.is_ok() && *format < schema.format()) {
    status = migrate(connection, *format, schema);
  }
  if (!status.is_ok()) {
    connection.exec("ROLLBACK").ignore();
    return status;
  }
  return connection.exec("COMMIT");
}

bool needs_it_alone(const Schema& schema, int64_t from) {
  return from >= 0 && std::ranges::any_of(schema.migrations, [from](const Migration& step) {
           return step.to_format > from && !step.is_additive();
         });
}

}  // namespace

Result<Users> Users::enter(const std::string& path, Deadline deadline) {
  const std::string name = path + "-users";
  UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_valid()) return errno_status(errno, "open " + name);
  Users users(path, std::move(fd));
  while (true) {
    const Status locked = users.lock(F_RDLCK);
    if (locked.code() != Code::kConflict) return locked.is_ok() ? Result<Users>(std::move(users)) : locked;
    if (deadline.has_passed()) {
      return Status(Code::kDeadlineExceeded,
                    "database " + path + ": another process has been migrating it for too long");
    }
    ::poll(nullptr, 0, kPauseMs);
  }
}

Status Users::lock(short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  if (::fcntl(fd_.get(), F_OFD_SETLK, &lock) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) return conflict("database " + path_ + ": others have it open");
  return errno_status(errno, "lock " + path_ + "-users");
}

Status Users::alone() {
  Status locked = lock(F_WRLCK);
  for (int i = 0; locked.code() == Code::kConflict && i < kTries; ++i) {
    ::poll(nullptr, 0, kPauseMs);
    locked = lock(F_WRLCK);
  }
  if (locked.code() != Code::kConflict) return locked;
  std::string pids;
  for (const int pid : others()) pids += (pids.empty() ? "" : ", ") + std::to_string(pid);
  return conflict(
      "database " + path_ + ": its migration needs it alone, and " +
      (pids.empty() ? "this process has it open elsewhere, too" : "others have it open: pid " + pids) +
      "; try again when they have ended");
}

Status Users::share() {
  return lock(F_RDLCK);
}

std::vector<int> Users::others() const {
  struct stat file {};
  std::vector<int> pids;
  if (::fstat(fd_.get(), &file) != 0) return pids;
  for (const std::string& process : entries_of("/proc")) {
    const int pid = std::atoi(process.c_str());
    if (pid > 0 && pid != ::getpid() && has_open(process, file)) pids.push_back(pid);
  }
  std::ranges::sort(pids);
  return pids;
}

Status prepare_tables(Connection& connection, const std::string& path, const Schema& schema, Users& users) {
  POUCH_ASSIGN_OR_RETURN(const int64_t format, root_number(connection, "format"));
  if (format >= 0) POUCH_RETURN_IF_ERROR(check_format(connection, path, schema));
  if (format >= schema.format()) return {};
  if (!needs_it_alone(schema, format)) return make_or_migrate(connection, schema);
  POUCH_RETURN_IF_ERROR(users.alone());
  const Status migrated = make_or_migrate(connection, schema);
  const Status shared = users.share();
  return migrated.is_ok() ? shared : migrated;
}

}  // namespace pouch::store
