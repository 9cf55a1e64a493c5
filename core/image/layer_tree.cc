#include "core/image/layer_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <deque>
#include <memory>
#include <utility>

#include "core/base/text.h"

namespace pouch::image {
namespace {

constexpr int kMaxLinks = 255;       // in one path, as Go's containerd has it
constexpr size_t kMaxKnown = 64;     // folders that are kept open
constexpr size_t kMaxName = 65'536;  // XATTR_LIST_MAX, XATTR_SIZE_MAX
constexpr size_t kCopyBytes = size_t{1} << 20U;

std::string fd_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

UniqueFd open_folder_at(int folder, const std::string& name) {
  return UniqueFd(::openat(folder, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// In one lower layer, links resolved within it.
UniqueFd open_in_root(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<decltype(how.flags)>(O_PATH | O_CLOEXEC | flags);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  while (true) {
    const long fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return UniqueFd(static_cast<int>(fd));
  }
}

Result<std::string> read_link(int folder, const std::string& name) {
  std::string target(4096, '\0');
  const ssize_t size = ::readlinkat(folder, name.c_str(), target.data(), target.size());
  if (size < 0) return errno_status(errno, "read link " + quote(name));
  target.resize(static_cast<size_t>(size));
  return target;
}

void push_front(std::deque<std::string>& parts, const std::string& path) {
  std::vector<std::string> words = split(path, '/');
  parts.insert(parts.begin(), std::make_move_iterator(words.begin()), std::make_move_iterator(words.end()));
}

Status remove_at(int folder, const std::string& name);

Status clear_folder(int folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(::dup(folder)), &::closedir);
  if (stream == nullptr) return errno_status(errno, "read a folder");
  ::rewinddir(stream.get());
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name(entry->d_name);
    if (name != "." && name != "..") POUCH_RETURN_IF_ERROR(remove_at(folder, name));
  }
  return {};
}

Status remove_at(int folder, const std::string& name) {
  if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return errno_status(errno, "remove " + quote(name));
  {
    const UniqueFd inner(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inner.is_valid()) return errno_status(errno, "open " + quote(name));
    POUCH_RETURN_IF_ERROR(clear_folder(inner.get()));
  }
  if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) == 0) return {};
  return errno_status(errno, "remove folder " + quote(name));
}

Status copy_bytes(int from, int to) {
  std::string buffer(kCopyBytes, '\0');
  while (true) {
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_status(errno, "read");
    if (got == 0) return {};
    for (ssize_t at = 0; at < got;) {
      const ssize_t put = ::write(to, buffer.data() + at, static_cast<size_t>(got - at));
      if (put < 0 && errno != EINTR) return errno_status(errno, "write");
      if (put > 0) at += put;
    }
  }
}

}  // namespace

std::pair<std::string, std::string> split_path(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

bool is_foreign_xattr(std::string_view name) {
  return !name.starts_with("trusted.") && !name.starts_with("user.overlay.");
}

Result<FileAttributes> read_attributes(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return errno_status(errno, "stat");
  FileAttributes out;
  out.mode = info.st_mode & 07777U;
  out.uid = info.st_uid;
  out.gid = info.st_gid;
  out.accessed = info.st_atim;
  out.modified = info.st_mtim;
  std::string names(kMaxName, '\0');
  const ssize_t size = ::listxattr(fd_path(fd).c_str(), names.data(), names.size());
  names.resize(size < 0 ? 0 : static_cast<size_t>(size));
  for (const std::string& name : split(names, '\0')) {
    if (name.empty() || !is_foreign_xattr(name)) continue;
    std::string value(kMaxName, '\0');
    const ssize_t got = ::getxattr(fd_path(fd).c_str(), name.c_str(), value.data(), value.size());
    if (got < 0) continue;
    value.resize(static_cast<size_t>(got));
    out.xattrs[name] = std::move(value);
  }
  return out;
}

Status apply_attributes(int folder, const std::string& name, mode_t kind, const FileAttributes& attributes) {
  const char* const file = name.c_str();
  if (::fchownat(folder, file, attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return errno_status(errno, "set the owner of " + quote(name));
  for (const auto& [key, value] : attributes.xattrs) {
    const std::string path = fd_path(folder) + "/" + name;
    if (::lsetxattr(path.c_str(), key.c_str(), value.data(), value.size(), 0) == 0 || errno == ENOTSUP)
      continue;
    return errno_status(errno, "set the attribute " + quote(key) + " of " + quote(name));
  }
  if (kind != S_IFLNK && ::fchmodat(folder, file, attributes.mode, 0) != 0)
    return errno_status(errno, "set the mode of " + quote(name));
  const std::array<timespec, 2> times{attributes.accessed, attributes.modified};
  if (::utimensat(folder, file, times.data(), AT_SYMLINK_NOFOLLOW) != 0)
    return errno_status(errno, "set the times of " + quote(name));
  return {};
}

Result<int> LayerTree::folder(const std::string& path) {
  if (path.empty()) return upper_.get();
  if (const auto known = known_.find(path); known != known_.end()) return known->second.get();
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, walk(path, /*makes=*/true));
  if (known_.size() >= kMaxKnown) known_.clear();
  return known_.insert_or_assign(path, std::move(fd)).first->second.get();
}

Result<int> LayerTree::find_folder(const std::string& path) {
  if (path.empty()) return upper_.get();
  if (const auto known = known_.find(path); known != known_.end()) return known->second.get();
  auto fd = walk(path, /*makes=*/false);
  if (fd.code() == Code::kNotFound) return -1;
  if (!fd.is_ok()) return fd.status();
  if (known_.size() >= kMaxKnown) known_.clear();
  return known_.insert_or_assign(path, std::move(*fd)).first->second.get();
}

Result<UniqueFd> LayerTree::walk(const std::string& path, bool makes) {
  std::deque<std::string> parts;
  push_front(parts, path);
  std::vector<UniqueFd> open;      // from the first folder below the upper one on
  std::vector<std::string> names;  // of these
  int links = 0;
  while (!parts.empty()) {
    const std::string part = std::move(parts.front());
    parts.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!open.empty()) open.pop_back(), names.pop_back();
      continue;
    }
    const int here = open.empty() ? upper_.get() : open.back().get();
    struct stat info {};
    const bool is_there = ::fstatat(here, part.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_there && errno != ENOENT) return errno_status(errno, "look for " + quote(part));
    if (is_there && S_ISLNK(info.st_mode)) {
      if (++links > kMaxLinks) return invalid_argument("too many links in " + quote(path));
      POUCH_ASSIGN_OR_RETURN(const std::string target, read_link(here, part));
      if (target.starts_with('/')) open.clear(), names.clear();
      push_front(parts, target);
      continue;
    }
    if (!is_there && !makes) return not_found(quote(path) + " is not there");
    names.push_back(part);
    if (!is_there) POUCH_RETURN_IF_ERROR(make_folder(here, part, join(names, "/")));
    if (is_there && !S_ISDIR(info.st_mode)) {
      const std::string why = quote(join(names, "/")) + " is no folder";
      return makes ? invalid_argument(why) : not_found(why);
    }
    open.push_back(open_folder_at(here, part));
    if (!open.back().is_valid()) return errno_status(errno, "open folder " + quote(join(names, "/")));
  }
  if (!open.empty()) return std::move(open.back());
  return open_folder_at(upper_.get(), ".");
}

Status LayerTree::make_folder(int parent, const std::string& name, const std::string& path) {
  // A set-group-id bit of the parent is not passed on.
  if (::mkdirat(parent, name.c_str(), 0755) != 0 || ::fchmodat(parent, name.c_str(), 0755, 0) != 0)
    return errno_status(errno, "make folder " + quote(path));
  struct stat info {};
  if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return errno_status(errno, "stat folder " + quote(path));
  if (!is_lowest_) implied_[info.st_ino] = path;
  return {};
}

Status LayerTree::copy_up(const std::vector<UniqueFd>& lowers, const std::string& path) {
  for (const UniqueFd& lower : lowers) {
    const UniqueFd below = open_in_root(lower.get(), path, O_NOFOLLOW);
    if (!below.is_valid()) continue;
    struct stat info {};
    if (::fstat(below.get(), &info) != 0) return errno_status(errno, "stat " + quote(path));
    if (!S_ISREG(info.st_mode)) return invalid_argument(quote(path) + " is no regular file");
    POUCH_ASSIGN_OR_RETURN(const FileAttributes attributes, read_attributes(below.get()));
    const UniqueFd from(::open(fd_path(below.get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!from.is_valid()) return errno_status(errno, "open " + quote(path));
    const auto [parent_path, name] = split_path(path);
    POUCH_ASSIGN_OR_RETURN(const int parent, folder(parent_path));
    const UniqueFd to(
        ::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!to.is_valid()) return errno_status(errno, "create " + quote(path));
    POUCH_RETURN_IF_ERROR(copy_bytes(from.get(), to.get()).prefix("copy " + quote(path)));
    return apply_attributes(parent, name, S_IFREG, attributes);
  }
  return invalid_argument("it is in no layer");
}

Status LayerTree::link(const std::vector<UniqueFd>& lowers, const std::string& target,
                       const std::string& path) {
  const auto [target_parent, target_name] = split_path(target);
  POUCH_ASSIGN_OR_RETURN(int from, find_folder(target_parent));
  struct stat info {};
  if (from < 0 || ::fstatat(from, target_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    POUCH_RETURN_IF_ERROR(copy_up(lowers, target));
  const auto [parent, name] = split_path(path);
  POUCH_ASSIGN_OR_RETURN(const int folder_fd, folder(parent));
  const UniqueFd into(::openat(folder_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));  // outlives the next call
  struct stat before {};
  if (!into.is_valid() || ::fstat(into.get(), &before) != 0) return errno_status(errno, "open its folder");
  POUCH_ASSIGN_OR_RETURN(from, find_folder(target_parent));
  if (from < 0) return not_found("the target's folder is gone");
  // What a later entry has put there stays.
  const bool is_made = ::linkat(from, target_name.c_str(), into.get(), name.c_str(), 0) == 0;
  if (!is_made && errno != EEXIST) return errno_status(errno, "make the link");
  const std::array<timespec, 2> times{before.st_atim, before.st_mtim};
  ::utimensat(AT_FDCWD, fd_path(into.get()).c_str(), times.data(), 0);
  return {};
}

Status LayerTree::complete(const std::vector<UniqueFd>& lowers) {
  for (const auto& [target, path] : links_) {
    const Status linked = link(lowers, target, path);
    if (!linked.is_ok()) return linked.prefix("entry " + quote(path) + ": a hard link to " + quote(target));
  }
  // Parents first.
  std::map<std::string, ino_t> by_path;
  for (const auto& [inode, path] : implied_) by_path[path] = inode;
  for (const auto& [path, inode] : by_path) POUCH_RETURN_IF_ERROR(complete_folder(lowers, path, inode));
  return {};
}

Status LayerTree::complete_folder(const std::vector<UniqueFd>& lowers, const std::string& path, ino_t inode) {
  const auto [parent_path, name] = split_path(path);
  POUCH_ASSIGN_OR_RETURN(const int parent, find_folder(parent_path));
  struct stat info {};
  const bool is_there = parent >= 0 && ::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  if (!is_there || info.st_ino != inode || !S_ISDIR(info.st_mode)) return {};  // replaced since
  for (const UniqueFd& lower : lowers) {
    // As containerd, through a link that the folder replaces.
    const UniqueFd below = open_in_root(lower.get(), path, 0);
    if (!below.is_valid()) continue;
    // What replaced it there gives nothing on.
    if (::fstat(below.get(), &info) != 0 || !S_ISDIR(info.st_mode)) break;
    POUCH_ASSIGN_OR_RETURN(const FileAttributes attributes, read_attributes(below.get()));
    return apply_attributes(parent, name, S_IFDIR, attributes);
  }
  // A new one has the group of a folder that gives it on, which that may have become just now.
  struct stat above {};
  if (::fstat(parent, &above) != 0) return errno_status(errno, "stat a folder");
  if ((above.st_mode & S_ISGID) == 0 || !implied_.contains(above.st_ino)) return {};
  if (::fchownat(parent, name.c_str(), static_cast<uid_t>(-1), above.st_gid, AT_SYMLINK_NOFOLLOW) == 0)
    return {};
  return errno_status(errno, "set the group of " + quote(path));
}

Status LayerTree::remove(int folder, const std::string& name) {
  POUCH_RETURN_IF_ERROR(remove_at(folder, name));
  known_.clear();  // one of them may be gone
  return {};
}

}  // namespace pouch::image
