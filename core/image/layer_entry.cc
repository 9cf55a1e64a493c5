#include "core/image/layer_entry.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <limits>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/text.h"

namespace pouch::image {
namespace {

// "a/b" of "./a//b/", "/a/b", "a/c/../b". InvalidArgument where it leads out.
Result<std::string> clean_path(std::string_view text, const ImageLimits& limits) {
  if (text.size() > limits.max_path_bytes) return invalid_argument("its path is too long");
  std::vector<std::string> out;
  for (std::string& part : split(text, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      out.push_back(std::move(part));
    } else if (out.empty()) {
      return invalid_argument("it leads out of the root");
    } else {
      out.pop_back();
    }
  }
  return join(out, "/");
}

Result<std::map<std::string, std::string>> xattrs_of(archive_entry* raw) {
  std::map<std::string, std::string> out;
  ::archive_entry_xattr_reset(raw);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (::archive_entry_xattr_next(raw, &name, &value, &size) == ARCHIVE_OK) {
    if (is_foreign_xattr(name)) out[name] = std::string(static_cast<const char*>(value), size);
  }
  return out;
}

bool is_later(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

Result<FileAttributes> attributes_of(archive_entry* raw) {
  constexpr int64_t kMaxId = std::numeric_limits<uint32_t>::max() - int64_t{1};
  const int64_t uid = ::archive_entry_uid(raw);
  const int64_t gid = ::archive_entry_gid(raw);
  if (uid < 0 || uid > kMaxId || gid < 0 || gid > kMaxId)
    return invalid_argument("its owner is no 32 bit number");
  FileAttributes out;
  out.mode = ::archive_entry_perm(raw) & 07777U;
  out.uid = static_cast<uid_t>(uid);
  out.gid = static_cast<gid_t>(gid);
  out.modified = {::archive_entry_mtime(raw), ::archive_entry_mtime_nsec(raw)};
  out.accessed = {::archive_entry_atime(raw), ::archive_entry_atime_nsec(raw)};
  if (is_later(out.modified, out.accessed)) out.accessed = out.modified;
  POUCH_ASSIGN_OR_RETURN(out.xattrs, xattrs_of(raw));
  return out;
}

}  // namespace

Result<LayerEntry> read_layer_entry(archive_entry* raw, const ImageLimits& limits) {
  LayerEntry entry;
  const char* const name = ::archive_entry_pathname(raw);
  if (name == nullptr) return invalid_argument("it has no name");
  POUCH_ASSIGN_OR_RETURN(entry.path, clean_path(name, limits));
  std::tie(entry.parent, entry.name) = split_path(entry.path);
  POUCH_ASSIGN_OR_RETURN(entry.attributes, attributes_of(raw));
  entry.size = ::archive_entry_size(raw);
  if (entry.size < 0) return invalid_argument("its size is negative");
  if (const char* const target = ::archive_entry_hardlink(raw); target != nullptr) {
    entry.is_hard_link = true;
    POUCH_ASSIGN_OR_RETURN(entry.target, clean_path(target, limits));
    return entry;
  }
  entry.kind = ::archive_entry_filetype(raw);
  if (entry.kind == S_IFLNK) {
    const char* const target = ::archive_entry_symlink(raw);
    if (target == nullptr || *target == '\0') return invalid_argument("a symbolic link to nothing");
    entry.target = target;
  }
  entry.device = ::makedev(static_cast<unsigned>(::archive_entry_rdevmajor(raw)),
                           static_cast<unsigned>(::archive_entry_rdevminor(raw)));
  if (entry.kind == S_IFCHR && entry.device == 0)
    return invalid_argument("character device 0:0 is a whiteout to the overlay");
  return entry;
}

}  // namespace pouch::image
