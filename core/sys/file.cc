#include "core/sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "core/base/executor.h"
#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"

namespace pouch::sys {

Result<UniqueFd> open_file(const std::string& path, int flags, mode_t mode) {
  if (const int fault = fault_errno("sys.open", "before"); fault != 0) {
    return errno_status(fault, "open " + quote(path));
  }
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno_status(errno, "open " + quote(path));
  return UniqueFd(fd);
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_file(path, O_RDONLY));
  std::string data;
  constexpr size_t kStep = 64 * 1024;
  for (;;) {
    const size_t before = data.size();
    data.resize(before + kStep);
    const ssize_t got = ::read(fd.get(), data.data() + before, kStep);
    data.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return data;
    if (got < 0 && errno != EINTR) return errno_status(errno, "read " + quote(path));
    if (data.size() > limit) {
      return Status(Code::kResourceExhausted,
                    "read " + quote(path) + ": longer than " + std::to_string(limit) + " bytes");
    }
  }
}

Status write_all(int fd, std::string_view data) {
  if (const int fault = fault_errno("sys.write", "before"); fault != 0) return errno_status(fault, "write");
  while (!data.empty()) {
    const ssize_t put = ::write(fd, data.data(), data.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno_status(errno, "write");
    data.remove_prefix(static_cast<size_t>(put));
  }
  fault_kill("sys.write", "after");
  return {};
}

namespace {

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status sync_fd(int fd, const std::string& path) {
  return with_faults(
      "sys.sync", [&] { return ::fsync(fd) == 0 ? Status() : errno_status(errno, "sync " + quote(path)); });
}

Status sync_folder(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_file(path, O_RDONLY | O_DIRECTORY));
  return sync_fd(fd.get(), path);
}

// Removes what is in the open folder; `fd` is consumed.
Status empty_folder(UniqueFd fd, dev_t device, const std::string& shown) {
  DIR* raw = ::fdopendir(fd.get());
  if (raw == nullptr) return errno_status(errno, "read folder " + quote(shown));
  fd.release();
  const ScopeGuard close_folder([raw] { ::closedir(raw); });
  while (const dirent* entry = ::readdir(raw)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (::unlinkat(::dirfd(raw), name.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return errno_status(errno, "remove " + quote(shown + "/" + name));
    UniqueFd inner(::openat(::dirfd(raw), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat facts = {};
    if (!inner.is_valid() || ::fstat(inner.get(), &facts) != 0) {
      return errno_status(errno, "open " + quote(shown + "/" + name));
    }
    if (facts.st_dev != device) {
      return conflict("remove " + quote(shown + "/" + name) + ": something is mounted there");
    }
    POUCH_RETURN_IF_ERROR(empty_folder(std::move(inner), device, shown + "/" + name));
    if (::unlinkat(::dirfd(raw), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return errno_status(errno, "remove " + quote(shown + "/" + name));
    }
  }
  return {};
}

}  // namespace

bool is_named(int fd, const std::string& path) {
  struct stat held {};
  struct stat named {};
  return ::fstat(fd, &held) == 0 && ::lstat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

Status rename_file(const std::string& from, const std::string& to) {
  return with_faults("sys.rename", [&] {
    if (::rename(from.c_str(), to.c_str()) == 0) return Status();
    return errno_status(errno, "rename to " + quote(to));
  });
}

Status write_file_atomic(const std::string& path, std::string_view data, mode_t mode, bool sync) {
  const std::string temporary = path + ".new-" + random_hex(6);
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
  ScopeGuard undo([&] { ::unlink(temporary.c_str()); });
  if (Status written = write_all(fd.get(), data); !written.is_ok()) return written.prefix(quote(temporary));
  if (sync) POUCH_RETURN_IF_ERROR(sync_fd(fd.get(), temporary));
  POUCH_RETURN_IF_ERROR(rename_file(temporary, path));
  undo.dismiss();
  return sync ? sync_folder(parent_of(path)) : Status();
}

namespace {

Status copy_within_thread(const std::string& from, const std::string& to, mode_t mode) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd source, open_file(from, O_RDONLY));
  struct stat facts = {};
  if (::fstat(source.get(), &facts) != 0) return errno_status(errno, "stat " + quote(from));
  const std::string temporary = to + ".new-" + random_hex(6);
  POUCH_ASSIGN_OR_RETURN(UniqueFd target, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
  ScopeGuard undo([&] { ::unlink(temporary.c_str()); });
  auto left = static_cast<size_t>(facts.st_size);
  while (left > 0) {
    const ssize_t copied = ::copy_file_range(source.get(), nullptr, target.get(), nullptr, left, 0);
    if (copied <= 0) break;  // not between these file systems: by hand below
    left -= static_cast<size_t>(copied);
  }
  std::string buffer(left > 0 ? 256 * 1024 : 0, '\0');
  while (left > 0) {
    const ssize_t got = ::read(source.get(), buffer.data(), buffer.size());
    if (got <= 0) return errno_status(got == 0 ? EIO : errno, "read " + quote(from));
    POUCH_RETURN_IF_ERROR(write_all(target.get(), std::string_view(buffer.data(), static_cast<size_t>(got))));
    left -= std::min(left, static_cast<size_t>(got));
  }
  if (::fchmod(target.get(), mode) != 0) return errno_status(errno, "chmod " + quote(temporary));
  target.reset();  // a file open for writing cannot be executed
  POUCH_RETURN_IF_ERROR(rename_file(temporary, to));
  undo.dismiss();
  return {};
}

}  // namespace

// A program that anybody has open for writing cannot be executed (ETXTBSY), and a child that another thread
// of our host forks meanwhile has whatever is open for as long as it lives. So the copy is made on a thread
// whose descriptors are its own: forks on other threads don't see them.
Status copy_file_atomic(const std::string& from, const std::string& to, mode_t mode) {
  Status result;
  start_thread([&] {
    if (::unshare(CLONE_FILES) != 0) {
      result = errno_status(errno, "unshare descriptors");
      return;
    }
    result = copy_within_thread(from, to, mode);
  }).join();
  return result;
}

namespace {

Status remove_tree_now(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.is_valid() && errno == ENOENT) return {};
  if (!fd.is_valid() && (errno == ENOTDIR || errno == ELOOP)) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return errno_status(errno, "remove " + quote(path));
    return {};
  }
  struct stat facts = {};
  if (!fd.is_valid() || ::fstat(fd.get(), &facts) != 0) return errno_status(errno, "open " + quote(path));
  POUCH_RETURN_IF_ERROR(empty_folder(std::move(fd), facts.st_dev, path));
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return errno_status(errno, "remove " + quote(path));
  return {};
}

}  // namespace

Status remove_tree(const std::string& path) {
  return with_faults("sys.remove_tree", [&] { return remove_tree_now(path); });
}

namespace {

// `type`: F_WRLCK, held alone, or F_RDLCK.
Result<UniqueFd> open_locked(const std::string& path, short type) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT, 0600));
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) == 0) return fd;
  if (errno == EAGAIN || errno == EACCES) return conflict("lock " + quote(path) + ": held by another");
  return errno_status(errno, "lock " + quote(path));
}

Result<UnsharedFd> lock_file(const std::string& path, short type) {
  return UnsharedFd::make([&] { return open_locked(path, type); });
}

Result<UnsharedFd> wait_for_lock(const std::string& path, short type, Deadline deadline) {
  for (;;) {
    Result<UnsharedFd> lock = lock_file(path, type);
    if (lock.is_ok() || lock.code() != Code::kConflict) return lock;
    if (deadline.has_passed()) {
      return Status(Code::kDeadlineExceeded, "lock " + quote(path) + ": held by another for too long");
    }
    ::poll(nullptr, 0, 5);
  }
}

}  // namespace

Result<FileLock> FileLock::try_acquire(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(UnsharedFd fd, lock_file(path, F_WRLCK));
  return FileLock(std::move(fd));
}

bool FileLock::is_held(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  struct flock probe = {};
  probe.l_type = F_RDLCK;  // what is in its way is held alone
  probe.l_whence = SEEK_SET;
  probe.l_len = 1;
  if (!fd.is_valid() || ::fcntl(fd.get(), F_OFD_GETLK, &probe) != 0) return false;
  return probe.l_type != F_UNLCK;
}

Result<FileLock> FileLock::acquire(const std::string& path, Deadline deadline) {
  POUCH_ASSIGN_OR_RETURN(UnsharedFd fd, wait_for_lock(path, F_WRLCK, deadline));
  return FileLock(std::move(fd));
}

Result<FileLock> FileLock::acquire_shared(const std::string& path, Deadline deadline) {
  POUCH_ASSIGN_OR_RETURN(UnsharedFd fd, wait_for_lock(path, F_RDLCK, deadline));
  return FileLock(std::move(fd));
}

}  // namespace pouch::sys
