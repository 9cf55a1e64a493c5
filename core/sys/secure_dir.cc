#include "core/sys/secure_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/text.h"

namespace pouch::sys {
namespace {

Status refuse(const std::string& path, std::string_view why) {
  return {Code::kPermissionDenied, "use folder " + quote(path) + ": " + std::string(why)};
}

Status check_owner(int fd, const std::string& path, bool is_last) {
  struct stat facts = {};
  if (::fstat(fd, &facts) != 0) return errno_status(errno, "stat " + quote(path));
  const uid_t me = ::geteuid();
  if (is_last && facts.st_uid != me) return refuse(path, "it belongs to another user");
  if (facts.st_uid != 0 && facts.st_uid != me) return refuse(path, "its owner is neither root nor this user");
  const bool others_write = (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  // In a sticky folder nobody can replace what belongs to another.
  if (!is_last && others_write && (facts.st_mode & S_ISVTX) == 0)
    return refuse(path, "others may write to it");
  return {};
}

Result<UniqueFd> open_component(int parent, const std::string& name, const std::string& shown, bool is_last) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(::openat(parent, name.c_str(), kFlags));
  if (!fd.is_valid() && errno == ENOENT) {
    if (::mkdirat(parent, name.c_str(), is_last ? 0700 : 0755) != 0 && errno != EEXIST) {
      return errno_status(errno, "make folder " + quote(shown));
    }
    fd.reset(::openat(parent, name.c_str(), kFlags));
  }
  if (!fd.is_valid() && (errno == ELOOP || errno == ENOTDIR)) {
    struct stat facts = {};
    const bool is_link =
        ::fstatat(parent, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(facts.st_mode);
    return refuse(shown, is_link ? "it is a symbolic link; give the path it leads to" : "it is not a folder");
  }
  if (!fd.is_valid()) return errno_status(errno, "open folder " + quote(shown));
  return fd;
}

}  // namespace

Result<UniqueFd> secure_mkdir(const std::string& path) {
  if (path.empty() || path.front() != '/')
    return invalid_argument("folder " + quote(path) + " is not absolute");
  std::vector<std::string> names;
  for (std::string& name : split(path, '/')) {
    if (name == "..") return invalid_argument("folder " + quote(path) + " contains \"..\"");
    if (!name.empty() && name != ".") names.push_back(std::move(name));
  }
  if (names.empty()) return invalid_argument("folder \"/\" cannot be private");
  UniqueFd current(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!current.is_valid()) return errno_status(errno, "open \"/\"");
  std::string shown;
  for (size_t i = 0; i < names.size(); ++i) {
    const bool is_last = i + 1 == names.size();
    shown += "/" + names[i];
    POUCH_ASSIGN_OR_RETURN(UniqueFd next, open_component(current.get(), names[i], shown, is_last));
    POUCH_RETURN_IF_ERROR(check_owner(next.get(), shown, is_last));
    current = std::move(next);
  }
  if (::fchmod(current.get(), 0700) != 0) return errno_status(errno, "chmod " + quote(path));
  return current;
}

}  // namespace pouch::sys
