#include "core/image/merged_rootfs.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/executor.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"

namespace pouch::image {
namespace {

constexpr std::string_view kUpper = "upperdir=";
constexpr std::string_view kLower = "lowerdir=";
constexpr std::string_view kWork = "workdir=";

// Read-only, all folders are lower ones: an upper folder may belong to one mount only.
std::string read_only_options(const ctrd::Mount& mount) {
  std::string upper;
  std::string lower;
  std::string rest;
  for (const std::string& option : mount.options) {
    if (option.starts_with(kUpper)) {
      upper = option.substr(kUpper.size()) + ":";
    } else if (option.starts_with(kLower)) {
      lower = option.substr(kLower.size());
    } else if (!option.starts_with(kWork) && option != "rw" && option != "ro" && option != "volatile") {
      rest += "," + option;
    }
  }
  return std::string(kLower) + upper + lower + rest;
}

Result<UniqueFd> open_folder(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_valid()) return errno_status(errno, "open " + quote(path));
  return fd;
}

// On a thread of its own, whose mount namespace ends with it.
Result<UniqueFd> mount_overlay(const ctrd::Mount& mount) {
  if (::unshare(CLONE_FS | CLONE_NEWNS) != 0) return errno_status(errno, "make a mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return errno_status(errno, "make mounts private");
  std::string place = "/tmp/pouch-rootfs-XXXXXX";
  if (::mkdtemp(place.data()) == nullptr) return errno_status(errno, "make a folder in /tmp");
  const ScopeGuard gone([&] { ::rmdir(place.c_str()); });
  const std::string options = read_only_options(mount);
  if (::mount("overlay", place.c_str(), "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID, options.c_str()) != 0)
    return errno_status(errno, "mount an overlay");
  auto fd = open_folder(place);
  ::umount2(place.c_str(), MNT_DETACH);  // the descriptor keeps it
  return fd;
}

}  // namespace

Result<UniqueFd> open_merged_rootfs(const std::vector<ctrd::Mount>& mounts) {
  if (mounts.size() == 1 && mounts.front().type == "bind") return open_folder(mounts.front().source);
  if (mounts.size() != 1 || mounts.front().type != "overlay") {
    return not_implemented("read a root file system of the kind " +
                           quote(mounts.empty() ? "none" : mounts.front().type));
  }
  std::optional<Result<UniqueFd>> result;
  start_thread([&] { result.emplace(mount_overlay(mounts.front())); }).join();
  return std::move(*result);
}

}  // namespace pouch::image
