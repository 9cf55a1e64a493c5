#include "core/image/layer_unpacker.h"

#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "core/base/text.h"

namespace pouch::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kAufs = ".wh..wh.";  // AUFS's own files
constexpr const char* kOpaqueXattr = "trusted.overlay.opaque";

Status over(std::string_view what, int64_t limit) {
  return {Code::kResourceExhausted,
          "the layer is over the limit of " + std::to_string(limit) + " " + std::string(what)};
}

}  // namespace

Status LayerUnpacker::run(TarReader& tar) {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(archive_entry* const raw, tar.next());
    if (raw == nullptr) break;
    if (++entries_ > limits_.max_rootfs_entries) return over("entries", limits_.max_rootfs_entries);
    if (entries_ % 256 == 0) POUCH_RETURN_IF_ERROR(call_.check());
    const Status done = unpack(tar, raw);
    if (!done.is_ok()) {
      const char* const name = ::archive_entry_pathname(raw);
      return done.prefix("entry " + quote(name == nullptr ? "" : name));
    }
  }
  POUCH_RETURN_IF_ERROR(set_folder_times());
  return tar.drain();
}

Status LayerUnpacker::unpack(TarReader& tar, archive_entry* raw) {
  POUCH_ASSIGN_OR_RETURN(const LayerEntry entry, read_layer_entry(raw, limits_));
  if (entry.size > limits_.max_rootfs_bytes - bytes_) return over("bytes", limits_.max_rootfs_bytes);
  bytes_ += entry.size;
  // As containerd: the root is as it is. A whiteout of it has no name.
  if (entry.path.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const int folder, tree_.folder(entry.parent));
  if (entry.name.starts_with(kWhiteout)) return whiteout(folder, entry);
  return make(tar, folder, entry);
}

Status LayerUnpacker::whiteout(int folder, const LayerEntry& entry) {
  const std::string hidden = entry.name.substr(kWhiteout.size());
  const bool is_special = entry.name.starts_with(kAufs);
  if (!is_special && (hidden.empty() || hidden == "." || hidden == ".."))
    return invalid_argument("a bad whiteout");
  // In the lowest layer there is nothing to hide.
  if (tree_.is_lowest()) return {};
  if (entry.name == kOpaque) {
    const std::string path = "/proc/self/fd/" + std::to_string(folder);
    if (::setxattr(path.c_str(), kOpaqueXattr, "y", 1, 0) == 0) return {};
    return layer_errno(errno, "make the folder opaque");
  }
  if (is_special) return {};
  if (::mknodat(folder, hidden.c_str(), S_IFCHR, 0) != 0) {
    // What this layer has under the name hides the lower ones anyway.
    return errno == EEXIST ? Status() : layer_errno(errno, "make a whiteout");
  }
  const FileAttributes& attributes = entry.attributes;
  if (::fchownat(folder, hidden.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) == 0) return {};
  return layer_errno(errno, "set the owner of a whiteout");
}

Status LayerUnpacker::make(TarReader& tar, int folder, const LayerEntry& entry) {
  if (entry.is_hard_link) return make_link(entry);
  switch (entry.kind) {
    case S_IFREG:
      return make_file(tar, folder, entry);
    case S_IFDIR:
      return make_folder(folder, entry);
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
      return make_node(folder, entry);
    default:
      return invalid_argument("it is of an unknown type");
  }
}

// Whatever stands there goes.
Status LayerUnpacker::clear_way(int folder, const LayerEntry& entry) {
  struct stat info {};
  if (::fstatat(folder, entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? Status() : layer_errno(errno, "stat");
  if (!S_ISDIR(info.st_mode) && !S_ISLNK(info.st_mode) && ::unlinkat(folder, entry.name.c_str(), 0) == 0)
    return {};
  return tree_.remove(folder, entry.name);
}

Status LayerUnpacker::make_file(TarReader& tar, int folder, const LayerEntry& entry) {
  const FileAttributes& attributes = entry.attributes;
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const char* const name = entry.name.c_str();
  UniqueFd file(::openat(folder, name, kFlags, attributes.mode & 0777U));
  if (!file.is_valid() && errno == EEXIST) {
    POUCH_RETURN_IF_ERROR(clear_way(folder, entry));
    POUCH_ASSIGN_OR_RETURN(const int again, tree_.folder(entry.parent));
    file = UniqueFd(::openat(again, name, kFlags, attributes.mode & 0777U));
  }
  if (!file.is_valid()) return layer_errno(errno, "create it");
  POUCH_RETURN_IF_ERROR(write_data(tar, file.get(), entry.size));
  const int fd = file.get();
  // It may have its folder's group. To ask costs less than to set what is set.
  struct stat made {};
  if (::fstat(fd, &made) != 0) return layer_errno(errno, "stat");
  const bool is_owned = made.st_uid == attributes.uid && made.st_gid == attributes.gid;
  if (!is_owned && ::fchown(fd, attributes.uid, attributes.gid) != 0)
    return layer_errno(errno, "set its owner");
  for (const auto& [key, value] : attributes.xattrs) {
    if (::fsetxattr(fd, key.c_str(), value.data(), value.size(), 0) != 0 && errno != ENOTSUP)
      return layer_errno(errno, "set its attribute " + quote(key));
  }
  if ((attributes.mode & 07000U) != 0 && ::fchmod(fd, attributes.mode) != 0)
    return layer_errno(errno, "set its mode");
  const std::array<timespec, 2> times{attributes.accessed, attributes.modified};
  return ::futimens(fd, times.data()) == 0 ? Status() : layer_errno(errno, "set its times");
}

Status LayerUnpacker::write_data(TarReader& tar, int file, int64_t size) {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(std::string_view piece, tar.read());
    if (piece.empty()) return {};
    size -= static_cast<int64_t>(piece.size());
    if (size < 0) return invalid_argument("it has more data than its size");
    POUCH_RETURN_IF_ERROR(call_.check());
    while (!piece.empty()) {
      const ssize_t count = ::write(file, piece.data(), piece.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return layer_errno(errno, "write it");
      piece.remove_prefix(static_cast<size_t>(count));
    }
  }
}

Status LayerUnpacker::make_folder(int folder, const LayerEntry& entry) {
  const char* const name = entry.name.c_str();
  int parent = folder;
  if (::mkdirat(parent, name, entry.attributes.mode & 0777U) != 0) {
    if (errno != EEXIST) return layer_errno(errno, "make it");
    struct stat info {};
    if (::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return layer_errno(errno, "stat");
    if (!S_ISDIR(info.st_mode)) {
      // A whiteout of this layer means that nothing of the lower ones shines through.
      const bool was_hidden = S_ISCHR(info.st_mode) && info.st_rdev == 0;
      POUCH_RETURN_IF_ERROR(clear_way(folder, entry));
      POUCH_ASSIGN_OR_RETURN(parent, tree_.folder(entry.parent));
      if (::mkdirat(parent, name, entry.attributes.mode & 0777U) != 0) return layer_errno(errno, "make it");
      const std::string path = "/proc/self/fd/" + std::to_string(parent) + "/" + entry.name;
      if (was_hidden && ::lsetxattr(path.c_str(), kOpaqueXattr, "y", 1, 0) != 0)
        return layer_errno(errno, "make the folder opaque");
    }
  }
  struct stat made {};
  if (::fstatat(parent, name, &made, AT_SYMLINK_NOFOLLOW) == 0) tree_.tell(made);
  POUCH_RETURN_IF_ERROR(apply_attributes(parent, entry.name, S_IFDIR, entry.attributes));
  POUCH_RETURN_IF_ERROR(tree_.remember(entry.path.size()));
  folders_.push_back({entry.parent, entry.name, entry.attributes.accessed, entry.attributes.modified});
  return {};
}

Status LayerUnpacker::make_link(const LayerEntry& entry) {
  if (entry.target.empty() || entry.target == entry.path)
    return invalid_argument("a hard link to itself or the root");
  const auto [target_parent, target_name] = split_path(entry.target);
  POUCH_ASSIGN_OR_RETURN(const int found, tree_.find_folder(target_parent));
  struct stat info {};
  const bool is_here = found >= 0 && ::fstatat(found, target_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  if (is_here && S_ISDIR(info.st_mode)) return invalid_argument("a hard link to a folder");
  {
    POUCH_ASSIGN_OR_RETURN(const int folder, tree_.folder(entry.parent));
    POUCH_RETURN_IF_ERROR(clear_way(folder, entry));
  }
  if (!is_here) {
    return tree_.link_later(entry.target, entry.path);
  }
  // Both at once, which neither call takes away from the other.
  POUCH_ASSIGN_OR_RETURN(const int into, tree_.folder(entry.parent));
  const UniqueFd held(::openat(into, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  POUCH_ASSIGN_OR_RETURN(const int from, tree_.find_folder(target_parent));
  if (!held.is_valid() || from < 0 ||
      ::linkat(from, target_name.c_str(), held.get(), entry.name.c_str(), 0) != 0)
    return layer_errno(errno, "make a hard link to " + quote(entry.target));
  if (::fstatat(held.get(), entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return layer_errno(errno, "stat");
  return apply_attributes(held.get(), entry.name, info.st_mode & S_IFMT, entry.attributes);
}

Status LayerUnpacker::make_node(int folder, const LayerEntry& entry) {
  POUCH_RETURN_IF_ERROR(clear_way(folder, entry));
  POUCH_ASSIGN_OR_RETURN(const int parent, tree_.folder(entry.parent));
  const char* const name = entry.name.c_str();
  const mode_t mode = entry.kind | (entry.attributes.mode & 0777U);
  const dev_t device = entry.kind == S_IFIFO ? 0 : entry.device;
  const int made = entry.kind == S_IFLNK ? ::symlinkat(entry.target.c_str(), parent, name)
                                         : ::mknodat(parent, name, mode, device);
  if (made != 0) return layer_errno(errno, "make it");
  return apply_attributes(parent, entry.name, entry.kind, entry.attributes);
}

Status LayerUnpacker::set_folder_times() {
  for (const Folder& one : folders_) {
    POUCH_ASSIGN_OR_RETURN(const int parent, tree_.find_folder(one.parent));
    struct stat info {};
    if (parent < 0 || ::fstatat(parent, one.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISDIR(info.st_mode)) continue;  // replaced by a later entry
    const std::array<timespec, 2> times{one.accessed, one.modified};
    if (::utimensat(parent, one.name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0)
      return layer_errno(errno, "set the times of " + quote(one.name));
  }
  return {};
}

}  // namespace pouch::image
