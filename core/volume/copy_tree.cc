#include "core/volume/copy_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/below.h"

namespace pouch::volume {
namespace {

constexpr int kMaxDepth = 4096;
constexpr size_t kChunk = size_t{1} << 30;

struct CloseDir {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

Result<std::vector<std::string>> names_in(int folder) {
  const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return errno_status(errno, "open a folder");
  const std::unique_ptr<DIR, CloseDir> listing(::fdopendir(copy));
  if (!listing) return errno_status(errno, "read a folder");
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) return errno_status(errno, "read a folder");
  return names;
}

// Of an entry that may be a link, by the folder's descriptor: the last part is not followed.
std::string entry_path(int folder, const std::string& name) {
  return "/proc/self/fd/" + std::to_string(folder) + "/" + name;
}

Status copy_attributes(const std::string& from, const std::string& to) {
  const ssize_t size = ::llistxattr(from.c_str(), nullptr, 0);
  if (size == 0 || (size < 0 && (errno == ENOTSUP || errno == EPERM))) return {};
  if (size < 0) return errno_status(errno, "list extended attributes");
  std::string names(static_cast<size_t>(size), '\0');
  const ssize_t got = ::llistxattr(from.c_str(), names.data(), names.size());
  if (got < 0) return errno_status(errno, "list extended attributes");
  names.resize(static_cast<size_t>(got));
  for (const std::string& name : split(names, '\0')) {
    if (name.empty() || name.starts_with("trusted.overlay.")) continue;
    const ssize_t length = ::lgetxattr(from.c_str(), name.c_str(), nullptr, 0);
    std::string value(length > 0 ? static_cast<size_t>(length) : 0, '\0');
    if (length < 0 || ::lgetxattr(from.c_str(), name.c_str(), value.data(), value.size()) < 0)
      return errno_status(errno, "read extended attribute " + name);
    if (::setxattr(to.c_str(), name.c_str(), value.data(), value.size(), 0) == 0) continue;
    // A file system without them: as Docker's, the copy is without, too.
    if (errno != ENOTSUP) return errno_status(errno, "set extended attribute " + name);
  }
  return {};
}

Status copy_bytes(int from, int to) {
  while (true) {
    ssize_t count = ::copy_file_range(from, nullptr, to, nullptr, kChunk, 0);
    if (count < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
      char buffer[65536];
      count = ::read(from, buffer, sizeof buffer);
      for (ssize_t done = 0; done < count;) {
        const ssize_t written = ::write(to, buffer + done, static_cast<size_t>(count - done));
        if (written < 0 && errno != EINTR) return errno_status(errno, "write");
        if (written > 0) done += written;
      }
    }
    if (count == 0) return {};
    if (count < 0 && errno != EINTR) return errno_status(errno, "copy");
  }
}

class Copier {
 public:
  Status folder(int from, int to, int depth);

 private:
  Status entry(int from, int to, const std::string& name, int depth);
  static Status file(int from, int to, const std::string& name);
  static Status link(int from, int to, const std::string& name);
  bool is_copied(int to, const std::string& name, const struct stat& info, Status& linked);
  static Status finish(int from, int to, const std::string& name, const struct stat& info);

  std::vector<std::string> path_;
  /// Files of several names: the first one's folder and name.
  std::map<std::pair<dev_t, ino_t>, std::pair<std::string, std::string>> links_;
  int top_ = -1;
};

// By the descriptor of what was made: whoever shares the volume may have put a link in its place. Owner
// first: it takes capabilities and the set-user-id bit away.
Status Copier::finish(int from, int to, const std::string& name, const struct stat& info) {
  const UniqueFd made(::openat(to, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat there {};
  if (!made.is_valid() || ::fstat(made.get(), &there) != 0) return errno_status(errno, "open the copy");
  if ((there.st_mode & S_IFMT) != (info.st_mode & S_IFMT)) return conflict("somebody has replaced the copy");
  const std::string path = "/proc/self/fd/" + std::to_string(made.get());
  if (::fchownat(made.get(), "", info.st_uid, info.st_gid, AT_EMPTY_PATH) != 0)
    return errno_status(errno, "set the owner");
  if (!S_ISLNK(info.st_mode) && ::chmod(path.c_str(), info.st_mode & 07777) != 0)
    return errno_status(errno, "set the mode");
  POUCH_RETURN_IF_ERROR(copy_attributes(entry_path(from, name), path));
  const timespec times[] = {info.st_atim, info.st_mtim};
  if (::utimensat(AT_FDCWD, path.c_str(), times, 0) != 0) return errno_status(errno, "set the times");
  return {};
}

Status Copier::file(int from, int to, const std::string& name) {
  const UniqueFd in(::openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!in.is_valid()) return errno_status(errno, "open");
  const UniqueFd out(::openat(to, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out.is_valid()) return errno_status(errno, "create");
  return copy_bytes(in.get(), out.get());
}

Status Copier::link(int from, int to, const std::string& name) {
  std::string target(4097, '\0');
  const ssize_t size = ::readlinkat(from, name.c_str(), target.data(), target.size());
  if (size < 0) return errno_status(errno, "read a link");
  target.resize(static_cast<size_t>(size));
  if (::symlinkat(target.c_str(), to, name.c_str()) != 0) return errno_status(errno, "create a link");
  return {};
}

bool Copier::is_copied(int to, const std::string& name, const struct stat& info, Status& linked) {
  if (info.st_nlink < 2 || S_ISDIR(info.st_mode)) return false;
  const std::string folder = join(path_, "/");
  const auto [at, is_first] = links_.try_emplace({info.st_dev, info.st_ino}, folder, name);
  if (is_first) return false;
  const UniqueFd parent = sys::open_below(top_, at->second.first, O_PATH | O_DIRECTORY);
  if (!parent.is_valid() || ::linkat(parent.get(), at->second.second.c_str(), to, name.c_str(), 0) != 0)
    linked = errno_status(errno, "link");
  return true;
}

Status Copier::entry(int from, int to, const std::string& name, int depth) {
  struct stat info {};
  if (::fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return errno_status(errno, "stat");
  Status linked;
  if (is_copied(to, name, info, linked)) return linked;
  if (S_ISDIR(info.st_mode)) {
    if (::mkdirat(to, name.c_str(), 0700) != 0) return errno_status(errno, "create a folder");
    const UniqueFd in(::openat(from, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const UniqueFd out(::openat(to, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!in.is_valid() || !out.is_valid()) return errno_status(errno, "open a folder");
    path_.push_back(name);
    POUCH_RETURN_IF_ERROR(folder(in.get(), out.get(), depth + 1));
    path_.pop_back();
  } else if (S_ISREG(info.st_mode)) {
    POUCH_RETURN_IF_ERROR(file(from, to, name));
  } else if (S_ISLNK(info.st_mode)) {
    POUCH_RETURN_IF_ERROR(link(from, to, name));
  } else if (::mknodat(to, name.c_str(), info.st_mode, info.st_rdev) != 0) {
    return errno_status(errno, "create a device");
  }
  return finish(from, to, name, info);
}

Status Copier::folder(int from, int to, int depth) {
  if (depth > kMaxDepth) return {Code::kResourceExhausted, "folders are nested too deeply"};
  if (depth == 0) top_ = to;
  POUCH_ASSIGN_OR_RETURN(const auto names, names_in(from));
  for (const std::string& name : names) {
    if (const Status copied = entry(from, to, name, depth); !copied.is_ok())
      return depth == 0 ? copied.prefix("copy " + quote(name)) : copied;
  }
  return {};
}

}  // namespace

Status copy_tree(int from, int to) {
  struct stat info {};
  if (::fstat(from, &info) != 0) return errno_status(errno, "stat the image's folder");
  Copier copier;
  POUCH_RETURN_IF_ERROR(copier.folder(from, to, 0));
  if (::fchown(to, info.st_uid, info.st_gid) != 0 || ::fchmod(to, info.st_mode & 07777) != 0)
    return errno_status(errno, "set the owner of the volume");
  POUCH_RETURN_IF_ERROR(copy_attributes("/proc/self/fd/" + std::to_string(from) + "/.",
                                        "/proc/self/fd/" + std::to_string(to) + "/."));
  const timespec times[] = {info.st_atim, info.st_mtim};
  return ::futimens(to, times) == 0 ? Status() : errno_status(errno, "set the times of the volume");
}

Result<bool> is_empty_folder(int folder) {
  POUCH_ASSIGN_OR_RETURN(const auto names, names_in(folder));
  return names.empty();
}

}  // namespace pouch::volume
