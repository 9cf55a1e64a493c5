#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/clock.h"
#include "core/base/fork.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::sys {

/// open(2) with O_CLOEXEC, retried on EINTR. The error names the path.
Result<UniqueFd> open_file(const std::string& path, int flags, mode_t mode = 0600);
/// The whole file, up to `limit` bytes (ResourceExhausted past it). Works for /proc and /sys.
Result<std::string> read_file(const std::string& path, size_t limit = size_t{64} << 20);
/// All of `data` to `fd`, retried on EINTR and short writes.
Status write_all(int fd, std::string_view data);
/// To a new file beside it, then renamed over `path`. `sync`: fsync of file and folder before the answer.
Status write_file_atomic(const std::string& path, std::string_view data, mode_t mode, bool sync);
/// rename(2).
Status rename_file(const std::string& from, const std::string& to);
/// A copy of a regular file, shared blocks where the file system can, renamed into place with `mode`. It can
/// be executed at once, whatever children other threads fork meanwhile.
Status copy_file_atomic(const std::string& from, const std::string& to, mode_t mode);
/// Whether `path` still names the file that `fd` has open: it may have been removed, and another put there.
bool is_named(int fd, const std::string& path);
/// Removes a folder and all in it, following no links and leaving no file system; Ok when it is not there.
Status remove_tree(const std::string& path);

/// An exclusive lock on a file (F_OFD_SETLK on its first byte): held until destroyed, or until the process
/// ends. A child made by fork() does not share it.
class FileLock {
 public:
  /// Creates the file 0600. Conflict when another holds it.
  static Result<FileLock> try_acquire(const std::string& path);
  /// Waits, by trying every few ms.
  static Result<FileLock> acquire(const std::string& path, Deadline deadline);
  /// The same beside others that share it, not beside one that does not.
  static Result<FileLock> acquire_shared(const std::string& path, Deadline deadline);
  /// Whether somebody holds it alone now, in this process or another. Takes nothing; false when there is no
  /// file.
  static bool is_held(const std::string& path);
  int fd() const { return fd_.get(); }
  /// The descriptor that holds it, now as any other: children made by fork() hold it as well.
  UniqueFd share() && { return std::move(fd_).share(); }

 private:
  explicit FileLock(UnsharedFd fd) : fd_(std::move(fd)) {}
  UnsharedFd fd_;
};

}  // namespace pouch::sys
