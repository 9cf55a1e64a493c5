#include "core/container/staged_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/sys/below.h"
#include "core/sys/file.h"
#include "core/sys/mounts.h"
#include "core/sys/secure_dir.h"

namespace pouch::container {

std::string staging_dir(const std::string& run_dir, const ContainerId& id, int64_t generation) {
  return run_dir + "/mounts/" + id.str() + "." + std::to_string(generation);
}

Status clear_staging(const std::string& dir) {
  struct stat info {};
  if (::lstat(dir.c_str(), &info) != 0 && errno == ENOENT) return {};
  POUCH_RETURN_IF_ERROR(sys::unmount_tree(dir));
  return sys::remove_tree(dir);
}

StagedMounts::~StagedMounts() {
  if (const Status cleared = clear(); !cleared.is_ok())
    log_warning("container", "remove the mounts of a start: " + cleared.message());
}

Status StagedMounts::clear() {
  if (count_ == 0) return {};
  POUCH_RETURN_IF_ERROR(clear_staging(dir_));
  count_ = 0;
  return {};
}

Result<std::string> StagedMounts::new_place(bool is_folder) {
  if (count_ == 0) {
    POUCH_RETURN_IF_ERROR(sys::secure_mkdir(dir_.substr(0, dir_.rfind('/'))).status());
    POUCH_RETURN_IF_ERROR(sys::secure_mkdir(dir_).status());
  }
  const std::string place = dir_ + "/" + std::to_string(count_++);
  if (is_folder)
    return ::mkdir(place.c_str(), 0700) == 0 ? Result<std::string>(place)
                                             : errno_status(errno, "create folder " + place);
  POUCH_RETURN_IF_ERROR(sys::open_file(place, O_WRONLY | O_CREAT | O_EXCL).status());
  return place;
}

Result<std::string> StagedMounts::bind_below(const std::string& root, const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd folder, sys::open_file(root, O_PATH | O_DIRECTORY));
  const UniqueFd found = sys::open_below(folder.get(), path, O_PATH);
  struct stat info {};
  if (!found.is_valid() || ::fstat(found.get(), &info) != 0) {
    const int error = errno;
    return invalid_argument(errno_status(error, "cannot access path " + root + "/" + path).message());
  }
  const bool is_folder = S_ISDIR(info.st_mode);
  if (!is_folder && !S_ISREG(info.st_mode))
    return invalid_argument("cannot access path " + root + "/" + path + ": neither a file nor a folder");
  POUCH_ASSIGN_OR_RETURN(std::string place, new_place(is_folder));
  POUCH_RETURN_IF_ERROR(sys::bind_fd(found.get(), place));
  return place;
}

Result<std::string> StagedMounts::mount(const std::vector<ctrd::Mount>& mounts) {
  if (mounts.size() != 1) {
    return not_implemented("mounts of images need a snapshotter whose views are one mount");
  }
  POUCH_ASSIGN_OR_RETURN(std::string place, new_place(true));
  std::string options = join(mounts.front().options, ",");
  if (!options.empty()) options += ",";
  POUCH_RETURN_IF_ERROR(sys::mount_at({mounts.front().type, mounts.front().source, options + "ro"}, place));
  return place;
}

}  // namespace pouch::container
