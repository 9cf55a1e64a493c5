#include "core/store/wal_sync.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/fault.h"

namespace pouch::store {

Status WalSync::sync() {
  std::unique_lock lock(mutex_);
  const uint64_t mine = ++asked_;
  while (synced_ < mine) {
    if (is_running_) {
      done_.wait(lock);
      continue;
    }
    is_running_ = true;
    const uint64_t upto = asked_;
    lock.unlock();
    const Status status = sync_log();
    lock.lock();
    is_running_ = false;
    if (status.is_ok()) synced_ = upto;
    done_.notify_all();  // on failure another waiter tries for itself
    if (!status.is_ok()) return status;
  }
  return {};
}

Status WalSync::sync_log() {
  if (!log_.is_valid()) POUCH_RETURN_IF_ERROR(open_log());
  return with_faults("store.sync", [this] {
    if (::fdatasync(log_.get()) == 0) return Status();
    return errno_status(errno, "sync " + database_path_ + "-wal");
  });
}

// The log stays the same file as long as a connection is open: only the last one to close may remove it, and
// ours never do. SQLite has no locks on it that our close() could drop.
Status WalSync::open_log() {
  const std::string path = database_path_ + "-wal";
  UniqueFd log(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!log.is_valid()) return errno_status(errno, "open " + path);
  // Its name, once: it may have been made just now.
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  const UniqueFd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir.is_valid() || ::fsync(dir.get()) != 0) return errno_status(errno, "sync folder " + folder);
  log_ = std::move(log);
  return {};
}

}  // namespace pouch::store
