#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/image/rootfs_tar.h"

namespace pouch::image {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20U;
constexpr int kMaxDepth = 1000;  // folders inside folders; each holds a file descriptor while it is read

Status changed(const std::string& path) {
  return invalid_argument(quote(path) + " changed while it was read");
}

Status over(std::string_view what, int64_t limit) {
  return {Code::kResourceExhausted,
          "the root file system is over the limit of " + std::to_string(limit) + " " + std::string(what)};
}

Result<std::vector<std::string>> sorted_names(int folder, const std::string& path) {
  const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return errno_status(errno, "open folder " + quote(path));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy), &::closedir);
  if (stream == nullptr) {
    ::close(copy);
    return errno_status(errno, "read folder " + quote(path));
  }
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    std::string name(entry->d_name);
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  if (errno != 0) return errno_status(errno, "read folder " + quote(path));
  std::ranges::sort(names);
  return names;
}

std::string attribute_value(const std::string& file, const char* name) {
  std::string value(size_t{64} << 10U, '\0');  // XATTR_SIZE_MAX
  const ssize_t got = ::lgetxattr(file.c_str(), name, value.data(), value.size());
  value.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return value;
}

class FolderCopy {
 public:
  FolderCopy(const Call& call, TarWriter& layer, const ImageLimits& limits, Changes changes)
      : call_(call),
        layer_(layer),
        limits_(limits),
        tolerates_(changes == Changes::kTolerated),
        buffer_(kBufferBytes, '\0') {}

  Status run(int folder) {
    struct stat info {};
    if (::fstat(folder, &info) != 0) return errno_status(errno, "stat the folder");
    device_ = info.st_dev;
    return copy_folder(folder, "", 0);
  }

 private:
  Status copy_folder(int folder, const std::string& path, int depth) {
    if (depth > kMaxDepth) return over("folders inside folders", kMaxDepth);
    POUCH_RETURN_IF_ERROR(call_.check());
    POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, sorted_names(folder, path));
    for (const std::string& name : names) {
      POUCH_RETURN_IF_ERROR(copy_entry(folder, name, path.empty() ? name : path + "/" + name, depth));
    }
    return {};
  }

  Status copy_entry(int folder, const std::string& name, const std::string& path, int depth) {
    if (++entries_ > limits_.max_rootfs_entries) return over("entries", limits_.max_rootfs_entries);
    struct stat info {};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return tolerates_ ? Status() : changed(path);
      return errno_status(errno, "stat " + quote(path));
    }
    if (S_ISSOCK(info.st_mode)) return {};
    POUCH_RETURN_IF_ERROR(checked_path(path, limits_).status());
    TarEntry entry = from_stat(path, info);
    if (const auto first = first_link(info, path); first) {
      entry.type = TarType::kHardlink;
      entry.target = *first;
      return layer_.add(entry);
    }
    read_xattrs(folder, name, entry);
    if (S_ISREG(info.st_mode)) return copy_file(folder, name, entry);
    if (S_ISLNK(info.st_mode)) POUCH_RETURN_IF_ERROR(read_target(folder, name, entry));
    if (entry.type == TarType::kCharDevice && info.st_rdev == 0) {
      return invalid_argument(quote(path) +
                              " is a whiteout (character device 0:0): give a merged root file system");
    }
    POUCH_RETURN_IF_ERROR(layer_.add(entry));
    if (!S_ISDIR(info.st_mode) || info.st_dev != device_) return {};
    const UniqueFd inner(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (inner.get() < 0 && errno == ENOENT && tolerates_) return {};
    if (inner.get() < 0) return errno_status(errno, "open folder " + quote(path));
    return copy_folder(inner.get(), path, depth + 1);
  }

  static TarEntry from_stat(const std::string& path, const struct stat& info) {
    TarEntry entry;
    entry.path = path;
    switch (info.st_mode & S_IFMT) {
      case S_IFDIR:
        entry.type = TarType::kFolder;
        break;
      case S_IFLNK:
        entry.type = TarType::kSymlink;
        break;
      case S_IFCHR:
        entry.type = TarType::kCharDevice;
        break;
      case S_IFBLK:
        entry.type = TarType::kBlockDevice;
        break;
      case S_IFIFO:
        entry.type = TarType::kFifo;
        break;
      default:
        entry.size = info.st_size;
        break;
    }
    entry.mode = info.st_mode & 07777U;
    entry.uid = info.st_uid;
    entry.gid = info.st_gid;
    entry.modified_s = info.st_mtim.tv_sec;
    entry.device_major = major(info.st_rdev);
    entry.device_minor = minor(info.st_rdev);
    return entry;
  }

  // The path under which the same inode was written before.
  std::optional<std::string> first_link(const struct stat& info, const std::string& path) {
    if (info.st_nlink < 2 || S_ISDIR(info.st_mode)) return std::nullopt;
    const auto [at, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, path);
    return is_new ? std::nullopt : std::optional(at->second);
  }

  static void read_xattrs(int folder, const std::string& name, TarEntry& entry) {
    const std::string file = "/proc/self/fd/" + std::to_string(folder) + "/" + name;
    std::string names(size_t{64} << 10U, '\0');  // XATTR_LIST_MAX
    const ssize_t got = ::llistxattr(file.c_str(), names.data(), names.size());
    if (got <= 0) return;  // none, or a file system without them
    names.resize(static_cast<size_t>(got));
    for (const std::string& key : split(names, '\0')) {
      if (!key.empty() && is_portable_xattr(key)) entry.xattrs[key] = attribute_value(file, key.c_str());
    }
  }

  static Status read_target(int folder, const std::string& name, TarEntry& entry) {
    std::string target(4096, '\0');
    const ssize_t got = ::readlinkat(folder, name.c_str(), target.data(), target.size());
    if (got < 0) return errno_status(errno, "read link " + quote(entry.path));
    target.resize(static_cast<size_t>(got));
    entry.target = std::move(target);
    return {};
  }

  Status copy_file(int folder, const std::string& name, const TarEntry& entry) {
    bytes_ += entry.size;
    if (bytes_ > limits_.max_rootfs_bytes) return over("bytes", limits_.max_rootfs_bytes);
    const UniqueFd file(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file.get() < 0 && errno == ENOENT && tolerates_) return {};
    if (file.get() < 0) return errno_status(errno, "open " + quote(entry.path));
    POUCH_RETURN_IF_ERROR(layer_.add(entry));
    int64_t left = entry.size;
    while (left > 0) {
      POUCH_RETURN_IF_ERROR(call_.check());
      const size_t want = std::min(buffer_.size(), static_cast<size_t>(left));
      const ssize_t got = ::read(file.get(), buffer_.data(), want);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno_status(errno, "read " + quote(entry.path));
      if (got == 0 && !tolerates_) return changed(entry.path);
      if (got == 0) return fill_up(left);
      POUCH_RETURN_IF_ERROR(layer_.write(std::string_view(buffer_.data(), static_cast<size_t>(got))));
      left -= got;
    }
    return {};
  }

  // The size was told before.
  Status fill_up(int64_t left) {
    const std::string zeros(std::min(kBufferBytes, static_cast<size_t>(left)), '\0');
    while (left > 0) {
      const size_t count = std::min(zeros.size(), static_cast<size_t>(left));
      POUCH_RETURN_IF_ERROR(layer_.write(std::string_view(zeros).substr(0, count)));
      left -= static_cast<int64_t>(count);
    }
    return {};
  }

  const Call& call_;
  TarWriter& layer_;
  const ImageLimits& limits_;
  const bool tolerates_;
  std::string buffer_;
  dev_t device_ = 0;
  int64_t entries_ = 0;
  int64_t bytes_ = 0;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

Status copy_rootfs_folder(const Call& call, int folder_fd, TarWriter& layer, const ImageLimits& limits,
                          Changes changes) {
  return FolderCopy(call, layer, limits, changes).run(folder_fd);
}

}  // namespace pouch::image
