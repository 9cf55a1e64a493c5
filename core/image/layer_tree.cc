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

// In one layer, links resolved within it.
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

Status clear_folder(UniqueFd folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(folder.get()), &::closedir);
  if (stream == nullptr) return errno_status(errno, "read a folder");
  const int fd = folder.release();  // it is the stream's now
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name(entry->d_name);
    if (name != "." && name != "..") POUCH_RETURN_IF_ERROR(remove_at(fd, name));
  }
  return {};
}

Status remove_at(int folder, const std::string& name) {
  if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return errno_status(errno, "remove " + quote(name));
  {
    UniqueFd inner(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inner.is_valid()) return errno_status(errno, "open " + quote(name));
    POUCH_RETURN_IF_ERROR(clear_folder(std::move(inner)));
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

bool is_whiteout(const struct stat& info) {
  return S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

bool is_opaque(int fd) {
  char value = 0;
  return ::getxattr(fd_path(fd).c_str(), "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

/// What one layer has at a path, and whether it hides what the layers below have there.
struct Sight {
  UniqueFd file;  ///< O_PATH; invalid: nothing
  bool hides = false;
};

Sight look(int layer, const std::string& path) {
  Sight out;
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    UniqueFd folder = open_in_root(layer, parent, O_NOFOLLOW);
    struct stat info {};
    if (!folder.is_valid() || ::fstat(folder.get(), &info) != 0) return out;
    // Whatever is no folder hides the folders below, but a link may lead to one.
    if (!S_ISDIR(info.st_mode)) out.hides = true;
    if (S_ISLNK(info.st_mode)) folder = open_in_root(layer, parent, 0);
    if (!folder.is_valid() || ::fstat(folder.get(), &info) != 0 || !S_ISDIR(info.st_mode)) return out;
    if (is_opaque(folder.get())) out.hides = true;
  }
  out.file = open_in_root(layer, path, O_NOFOLLOW);
  struct stat info {};
  if (out.file.is_valid() && ::fstat(out.file.get(), &info) == 0 && is_whiteout(info))
    return {UniqueFd(), /*hides=*/true};
  return out;
}

}  // namespace

Status layer_errno(int error, std::string_view what) {
  const Status status = errno_status(error, what);
  switch (error) {
    case E2BIG:
    case EINVAL:
    case ELOOP:
    case EMLINK:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EOVERFLOW:
    case ERANGE:
      return invalid_argument(status.message());
    default:
      return status;
  }
}

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
    return layer_errno(errno, "set the owner of " + quote(name));
  for (const auto& [key, value] : attributes.xattrs) {
    const std::string path = fd_path(folder) + "/" + name;
    if (::lsetxattr(path.c_str(), key.c_str(), value.data(), value.size(), 0) == 0 || errno == ENOTSUP)
      continue;
    return layer_errno(errno, "set the attribute " + quote(key) + " of " + quote(name));
  }
  if (kind != S_IFLNK && ::fchmodat(folder, file, attributes.mode, 0) != 0)
    return layer_errno(errno, "set the mode of " + quote(name));
  const std::array<timespec, 2> times{attributes.accessed, attributes.modified};
  if (::utimensat(folder, file, times.data(), AT_SYMLINK_NOFOLLOW) != 0)
    return layer_errno(errno, "set the times of " + quote(name));
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

Status LayerTree::remember(size_t bytes) {
  constexpr size_t kOverhead = 128;  // of what holds a name
  remembered_ += bytes + kOverhead;
  if (remembered_ <= limits_.max_name_bytes) return {};
  return {Code::kResourceExhausted,
          "the layer is over the limit of " + std::to_string(limits_.max_name_bytes) + " bytes of names"};
}

Result<UniqueFd> LayerTree::walk(const std::string& path, bool makes) {
  std::deque<std::string> parts;
  push_front(parts, path);
  UniqueFd at;                     // invalid: the upper folder
  std::vector<std::string> names;  // from there to it
  int links = 0;
  while (!parts.empty()) {
    const std::string part = std::move(parts.front());
    parts.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      // Nobody else moves folders in here.
      if (!names.empty()) names.pop_back();
      at = names.empty() ? UniqueFd() : open_folder_at(at.get(), "..");
      continue;
    }
    const int here = names.empty() ? upper_.get() : at.get();
    struct stat info {};
    const bool is_there = ::fstatat(here, part.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_there && errno != ENOENT) return layer_errno(errno, "look for " + quote(part));
    if (is_there && S_ISLNK(info.st_mode)) {
      if (++links > kMaxLinks) return invalid_argument("too many links in " + quote(path));
      POUCH_ASSIGN_OR_RETURN(const std::string target, read_link(here, part));
      if (target.starts_with('/')) at = UniqueFd(), names.clear();
      push_front(parts, target);
      continue;
    }
    if (!is_there && !makes) return not_found(quote(path) + " is not there");
    names.push_back(part);
    if (names.size() > limits_.max_depth)
      return invalid_argument("more than " + std::to_string(limits_.max_depth) + " folders in each other");
    if (!is_there) POUCH_RETURN_IF_ERROR(make_folder(here, part, join(names, "/")));
    if (is_there && !S_ISDIR(info.st_mode)) {
      const std::string why = quote(join(names, "/")) + " is no folder";
      return makes ? invalid_argument(why) : not_found(why);
    }
    at = open_folder_at(here, part);
    if (!at.is_valid()) return layer_errno(errno, "open folder " + quote(join(names, "/")));
  }
  return names.empty() ? open_folder_at(upper_.get(), ".") : std::move(at);
}

Status LayerTree::make_folder(int parent, const std::string& name, const std::string& path) {
  if (++made_ > limits_.max_rootfs_entries)
    return Status(Code::kResourceExhausted, "the layer is over the limit of " +
                                                std::to_string(limits_.max_rootfs_entries) + " folders");
  // A set-group-id bit of the parent is not passed on.
  if (::mkdirat(parent, name.c_str(), 0755) != 0 || ::fchmodat(parent, name.c_str(), 0755, 0) != 0)
    return layer_errno(errno, "make folder " + quote(path));
  struct stat info {};
  if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return layer_errno(errno, "stat folder " + quote(path));
  if (is_lowest_) return {};
  implied_[info.st_ino] = path;
  return remember(path.size());
}

Status LayerTree::copy_up(const std::vector<UniqueFd>& lowers, const std::string& path) {
  if (look(upper_.get(), path).hides) return invalid_argument("it is removed by this layer");
  for (const UniqueFd& lower : lowers) {
    const Sight seen = look(lower.get(), path);
    const UniqueFd& below = seen.file;
    if (!below.is_valid() && seen.hides) break;
    if (!below.is_valid()) continue;
    struct stat info {};
    if (::fstat(below.get(), &info) != 0) return layer_errno(errno, "stat " + quote(path));
    if (!S_ISREG(info.st_mode)) return invalid_argument(quote(path) + " is no regular file");
    POUCH_ASSIGN_OR_RETURN(const FileAttributes attributes, read_attributes(below.get()));
    const UniqueFd from(::open(fd_path(below.get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!from.is_valid()) return layer_errno(errno, "open " + quote(path));
    const auto [parent_path, name] = split_path(path);
    POUCH_ASSIGN_OR_RETURN(const int parent, folder(parent_path));
    const UniqueFd to(
        ::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!to.is_valid()) return layer_errno(errno, "create " + quote(path));
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
  if (!into.is_valid() || ::fstat(into.get(), &before) != 0) return layer_errno(errno, "open its folder");
  POUCH_ASSIGN_OR_RETURN(from, find_folder(target_parent));
  if (from < 0) return not_found("the target's folder is gone");
  // What a later entry has put there stays.
  const bool is_made = ::linkat(from, target_name.c_str(), into.get(), name.c_str(), 0) == 0;
  if (!is_made && errno != EEXIST) return layer_errno(errno, "make the link");
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
  if (::fstat(parent, &above) != 0) return layer_errno(errno, "stat a folder");
  if ((above.st_mode & S_ISGID) == 0 || !implied_.contains(above.st_ino)) return {};
  if (::fchownat(parent, name.c_str(), static_cast<uid_t>(-1), above.st_gid, AT_SYMLINK_NOFOLLOW) == 0)
    return {};
  return layer_errno(errno, "set the group of " + quote(path));
}

Status LayerTree::remove(int folder, const std::string& name) {
  POUCH_RETURN_IF_ERROR(remove_at(folder, name));
  known_.clear();  // one of them may be gone
  return {};
}

}  // namespace pouch::image
