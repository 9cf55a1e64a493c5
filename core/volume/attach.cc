// How volumes come to containers, and files of images into volumes.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/fault.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/sys/below.h"
#include "core/sys/secure_dir.h"
#include "core/volume/copy_tree.h"
#include "core/volume/volume_manager.h"

namespace pouch {

using volume::VolumeRow;

namespace {

constexpr size_t kLockName = 32;
constexpr size_t kAlgorithm = sizeof("sha256:") - 1;

Result<bool> is_empty(const std::string& place) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd folder, sys::open_file(place, O_RDONLY | O_DIRECTORY));
  return volume::is_empty_folder(folder.get());
}

}  // namespace

// Not by the name, which may be as long as that of a file can be.
std::string VolumeManager::lock_path(const std::string& name) const {
  return context_.run_dir() + "/volume-locks/" + sha256_digest(name).substr(kAlgorithm, kLockName);
}

// Who mounts and unmounts a volume, and who looks whether it is empty, over all processes.
Result<sys::FileLock> VolumeManager::lock(const std::string& name, const Call& call) {
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(context_.run_dir() + "/volume-locks").status());
  return sys::FileLock::acquire(lock_path(name), call.deadline);
}

// The use is written down first: whoever finds it without its run unmounts.
Status VolumeManager::stage(const VolumeRow& row, const VolumeUser& user, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const auto driver, driver_of(row.driver, call));
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kBootScoped, call));
    POUCH_RETURN_IF_ERROR(volume::put_use(transaction, row.name, user, context_.owner_token));
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  POUCH_ASSIGN_OR_RETURN(const sys::FileLock held, lock(row.name, call));
  return driver->stage(row, call);
}

Result<std::string> VolumeManager::attach(const std::string& name, const VolumeUser& user, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const VolumeRow row, load(name));
  POUCH_ASSIGN_OR_RETURN(const auto driver, driver_of(row.driver, call));
  struct stat info {};
  const std::string place = driver->mountpoint(row);
  // Somebody may have removed the folder by hand.
  const bool is_gone = !place.empty() && ::lstat(place.c_str(), &info) != 0;
  if (is_gone || driver->is_limited(row)) {
    POUCH_ASSIGN_OR_RETURN(const sys::FileLock held, lock(name, call));
    POUCH_RETURN_IF_ERROR(driver->create(row, call));
  }
  if (!driver->needs_staging(row)) return driver->publish(row, user, call);
  POUCH_RETURN_IF_ERROR(stage(row, user, call));
  POUCH_ASSIGN_OR_RETURN(std::string found, driver->publish(row, user, call));
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(volume::set_use_place(transaction, volume::use_key(name, user), found));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return found;
}

Status VolumeManager::copy_up(const std::string& name, const VolumeUser& user, const OpenRootfs& open_rootfs,
                              const std::string& path, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const VolumeRow row, load(name));
  POUCH_ASSIGN_OR_RETURN(const auto driver, driver_of(row.driver, call));
  const bool is_staged = driver->needs_staging(row);
  const ScopeGuard done([&] {
    if (is_staged) end_use({volume::use_key(name, user), name, user}, call).ignore();  // else the next sweep
  });
  POUCH_ASSIGN_OR_RETURN(const std::string place, attach(name, user, call));
  // Looked at once without the lock, under which nobody is asked for anything, and once with it.
  POUCH_ASSIGN_OR_RETURN(const bool seems_empty, is_empty(place));
  if (!seems_empty) return {};
  POUCH_ASSIGN_OR_RETURN(const int rootfs, open_rootfs());
  const UniqueFd from = sys::open_below(rootfs, path, O_RDONLY | O_DIRECTORY);
  if (!from.is_valid() && errno == ENOENT) return {};
  if (!from.is_valid() && errno == ENOTDIR)
    return invalid_argument("cannot mount volume over existing file, file exists " + path);
  if (!from.is_valid()) return errno_status(errno, "open " + quote(path) + " of the image");
  POUCH_ASSIGN_OR_RETURN(const sys::FileLock held, lock(name, call));
  POUCH_ASSIGN_OR_RETURN(const bool still_empty, is_empty(place));
  if (!still_empty) return {};
  return copy_into(row, user.container, from.get(), place)
      .prefix("copy files of the image to volume " + name);
}

// All at once where nobody else sees the folder, so that a half copy is never taken for a whole one.
Status VolumeManager::copy_into(const VolumeRow& row, const ContainerId& user, int from,
                                const std::string& place) {
  const auto driver = known_driver(row.driver);
  bool is_shared = false;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(is_shared, volume::is_active(snapshot, row.name, user, context_.boot_id));
  }
  if (!is_shared && driver && driver->is_plain_folder(row)) return replace(row, from);
  POUCH_ASSIGN_OR_RETURN(const UniqueFd to, sys::open_file(place, O_RDONLY | O_DIRECTORY));
  return with_faults("volume.copy", [&] { return volume::copy_tree(from, to.get()); });
}

Status VolumeManager::replace(const VolumeRow& row, int from) {
  const std::string fresh = local_->place(row.name) + "/_new";
  const std::string place = local_->mountpoint(row);
  POUCH_RETURN_IF_ERROR(sys::remove_tree(fresh));
  if (::mkdir(fresh.c_str(), 0700) != 0) return errno_status(errno, "create folder " + fresh);
  ScopeGuard gone([&] { sys::remove_tree(fresh).ignore(); });
  POUCH_ASSIGN_OR_RETURN(const UniqueFd to, sys::open_file(fresh, O_RDONLY | O_DIRECTORY));
  POUCH_RETURN_IF_ERROR(with_faults("volume.copy", [&] { return volume::copy_tree(from, to.get()); }));
  // Else a power cut could leave empty files under their names, and the volume is not empty then.
  if (::syncfs(to.get()) != 0) return errno_status(errno, "sync " + fresh);
  POUCH_RETURN_IF_ERROR(sys::rename_file(fresh, place));
  gone.dismiss();
  return {};
}

}  // namespace pouch
