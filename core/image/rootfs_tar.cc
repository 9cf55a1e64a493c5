#include "core/image/rootfs_tar.h"

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <limits>
#include <unordered_set>
#include <utility>

#include "core/base/text.h"
#include "core/image/tar_reader.h"

namespace pouch::image {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kOverlayXattr = "trusted.overlay.";
constexpr std::string_view kUserOverlayXattr = "user.overlay.";

Status unsafe(std::string_view path, std::string_view why) {
  return invalid_argument("the tar's entry " + quote(path) + " is unsafe: " + std::string(why));
}

class TarCopy {
 public:
  TarCopy(TarReader& reader, TarWriter& layer, const ImageLimits& limits)
      : reader_(reader), layer_(layer), limits_(limits) {}

  Status run() {
    while (true) {
      POUCH_ASSIGN_OR_RETURN(archive_entry* const raw, reader_.next());
      if (raw == nullptr) return reader_.drain();
      if (!reader_.warning().empty()) {
        return invalid_argument("the archive is damaged: " + quote(reader_.warning()));
      }
      if (++entries_ > limits_.max_rootfs_entries) return over("entries", limits_.max_rootfs_entries);
      POUCH_RETURN_IF_ERROR(copy(raw));
    }
  }

 private:
  static Status over(std::string_view what, int64_t limit) {
    return {Code::kResourceExhausted,
            "the root file system is over the limit of " + std::to_string(limit) + " " + std::string(what)};
  }

  Status copy(archive_entry* raw) {
    if (::archive_entry_filetype(raw) == AE_IFSOCK) return {};
    POUCH_ASSIGN_OR_RETURN(const TarEntry entry, checked(raw));
    if (entry.type == TarType::kFile) {
      if (entry.size > limits_.max_rootfs_bytes - bytes_) return over("bytes", limits_.max_rootfs_bytes);
      bytes_ += entry.size;
    }
    if (entry.type != TarType::kFolder && seen_.insert(entry.path).second) {
      names_ += entry.path.size();
      if (names_ > limits_.max_name_bytes)
        return over("bytes of names", static_cast<int64_t>(limits_.max_name_bytes));
    }
    POUCH_RETURN_IF_ERROR(layer_.add(entry));
    return entry.type == TarType::kFile ? copy_data(entry) : Status();
  }

  Status copy_data(const TarEntry& entry) {
    int64_t left = entry.size;
    while (true) {
      POUCH_ASSIGN_OR_RETURN(const std::string_view piece, reader_.read());
      if (piece.empty()) break;
      left -= static_cast<int64_t>(piece.size());
      if (left < 0) return unsafe(entry.path, "it has more data than its size");
      POUCH_RETURN_IF_ERROR(layer_.write(piece));
    }
    return left == 0 ? Status() : invalid_argument("the archive is truncated");
  }

  Result<TarEntry> checked(archive_entry* raw) {
    const char* name = ::archive_entry_pathname(raw);
    if (name == nullptr) return invalid_argument("the tar holds an entry without a name");
    TarEntry entry;
    POUCH_ASSIGN_OR_RETURN(entry.path, checked_path(name, limits_));
    POUCH_RETURN_IF_ERROR(set_type(raw, entry));
    if (entry.path.empty() && entry.type != TarType::kFolder) return unsafe(name, "the root is not a folder");
    entry.mode = static_cast<uint32_t>(::archive_entry_perm(raw)) & 07777U;
    entry.uid = ::archive_entry_uid(raw);
    entry.gid = ::archive_entry_gid(raw);
    // The highest number means "unchanged" to chown(2).
    constexpr int64_t kMaxId = std::numeric_limits<uint32_t>::max() - int64_t{1};
    if (entry.uid < 0 || entry.uid > kMaxId || entry.gid < 0 || entry.gid > kMaxId) {
      return unsafe(name, "its owner is no 32 bit number");
    }
    entry.modified_s = ::archive_entry_mtime(raw);
    // Some 34 000 years around the epoch; readers of tars differ in what they make of the ends of 64 bits.
    constexpr int64_t kMaxTime = int64_t{1} << 40U;
    if (entry.modified_s < -kMaxTime || entry.modified_s > kMaxTime)
      return unsafe(name, "its time is out of range");
    POUCH_RETURN_IF_ERROR(set_xattrs(raw, entry));
    return entry;
  }

  Status set_type(archive_entry* raw, TarEntry& entry) {
    if (const char* target = ::archive_entry_hardlink(raw); target != nullptr) {
      entry.type = TarType::kHardlink;
      POUCH_ASSIGN_OR_RETURN(entry.target, checked_path(target, limits_));
      if (!seen_.contains(entry.target))
        return unsafe(entry.path, "a hard link to " + quote(target) + ", which is not before it");
      return {};
    }
    switch (::archive_entry_filetype(raw)) {
      case AE_IFREG:
        entry.type = TarType::kFile;
        entry.size = ::archive_entry_size(raw);
        return entry.size >= 0 ? Status() : unsafe(entry.path, "its size is negative");
      case AE_IFDIR:
        entry.type = TarType::kFolder;
        return {};
      case AE_IFLNK:
        return set_symlink(raw, entry);
      case AE_IFIFO:
        entry.type = TarType::kFifo;
        return {};
      case AE_IFCHR:
      case AE_IFBLK:
        return set_device(raw, entry);
      default:
        return unsafe(entry.path, "it is of an unknown type");
    }
  }

  static Status set_symlink(archive_entry* raw, TarEntry& entry) {
    const char* target = ::archive_entry_symlink(raw);
    if (target == nullptr || *target == '\0') return unsafe(entry.path, "a symbolic link to nothing");
    entry.type = TarType::kSymlink;
    entry.target = target;
    return {};
  }

  static Status set_device(archive_entry* raw, TarEntry& entry) {
    const bool is_char = ::archive_entry_filetype(raw) == AE_IFCHR;
    entry.type = is_char ? TarType::kCharDevice : TarType::kBlockDevice;
    entry.device_major = static_cast<uint32_t>(::archive_entry_rdevmajor(raw));
    entry.device_minor = static_cast<uint32_t>(::archive_entry_rdevminor(raw));
    if (is_char && entry.device_major == 0 && entry.device_minor == 0) {
      return unsafe(entry.path, "character device 0:0 is a whiteout to the overlay");
    }
    return {};
  }

  Status set_xattrs(archive_entry* raw, TarEntry& entry) const {
    ::archive_entry_xattr_reset(raw);
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    while (::archive_entry_xattr_next(raw, &name, &value, &size) == ARCHIVE_OK) {
      const std::string_view key(name);
      if (key.starts_with(kOverlayXattr) || key.starts_with(kUserOverlayXattr)) {
        return unsafe(entry.path, "the attribute " + quote(key) + " would steer the overlay");
      }
      if (!is_portable_xattr(key)) continue;
      entry.xattrs[name] = std::string(static_cast<const char*>(value), size);
    }
    return {};
  }

  TarReader& reader_;
  TarWriter& layer_;
  const ImageLimits& limits_;
  int64_t entries_ = 0;
  int64_t bytes_ = 0;
  size_t names_ = 0;                      ///< bytes in seen_
  std::unordered_set<std::string> seen_;  ///< paths that a hard link may name
};

}  // namespace

bool is_portable_xattr(std::string_view name) {
  if (name == "security.capability") return true;
  return !name.starts_with("trusted.") && !name.starts_with("security.") &&
         !name.starts_with(kUserOverlayXattr);
}

Result<std::string> checked_path(std::string_view path, const ImageLimits& limits) {
  if (path.size() > limits.max_path_bytes) return unsafe(path, "its name is too long");
  if (path.starts_with('/')) return unsafe(path, "its name is absolute");
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return unsafe(path, "its name holds \"..\"");
    if (part.starts_with(kWhiteoutPrefix))
      return unsafe(path, "it is a whiteout, and there is nothing below");
    parts.push_back(std::move(part));
  }
  return join(parts, "/");
}

Status copy_rootfs_tar(ByteSource& source, TarWriter& layer, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> reader, TarReader::open(source));
  return TarCopy(*reader, layer, limits).run();
}

}  // namespace pouch::image
