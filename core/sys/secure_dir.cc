#include "core/sys/secure_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "core/base/finding.h"
#include "core/base/text.h"

namespace pouch::sys {
namespace {

Status refuse(const std::string& path, std::string_view why, std::string fix) {
  return findings::bad_folder(path, why, std::move(fix)).status(Code::kPermissionDenied);
}

Status check_owner(int fd, const std::string& path, bool is_last) {
  struct stat facts = {};
  if (::fstat(fd, &facts) != 0) return errno_status(errno, "stat " + quote(path));
  const uid_t me = ::geteuid();
  if (facts.st_uid != me && (is_last || facts.st_uid != 0)) {
    const std::string owner = "it belongs to user " + std::to_string(facts.st_uid);
    return refuse(path, owner, "chown root " + path + ", or choose another folder");
  }
  const bool others_write = (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  // In a sticky folder nobody can replace what belongs to another.
  if (!is_last && others_write && (facts.st_mode & S_ISVTX) == 0) {
    return refuse(path, "others may write to it", "chmod go-w " + path + ", or choose another folder");
  }
  return {};
}

enum class Absent { kMake, kTell };  // what to do about a folder that is not there

// An invalid descriptor: it is absent and was not to be made.
Result<UniqueFd> open_component(int parent, const std::string& name, const std::string& shown, bool is_last,
                                Absent absent) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(::openat(parent, name.c_str(), kFlags));
  if (!fd.is_valid() && errno == ENOENT && absent == Absent::kTell) return fd;
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
    if (is_link) return refuse(shown, "it is a symbolic link", "give the path it leads to");
    return refuse(shown, "it is not a folder", "give the path of a folder");
  }
  if (!fd.is_valid()) return errno_status(errno, "open folder " + quote(shown));
  return fd;
}

Result<std::vector<std::string>> names_of(const std::string& path) {
  if (path.empty() || path.front() != '/')
    return invalid_argument("folder " + quote(path) + " is not absolute");
  std::vector<std::string> names;
  for (std::string& name : split(path, '/')) {
    if (name == "..") return invalid_argument("folder " + quote(path) + " contains \"..\"");
    if (!name.empty() && name != ".") names.push_back(std::move(name));
  }
  if (names.empty()) return invalid_argument("folder \"/\" cannot be private");
  return names;
}

Result<NearestDir> walk(const std::string& path, Absent absent) {
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, names_of(path));
  NearestDir at{UniqueFd(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), "", false};
  if (!at.fd.is_valid()) return errno_status(errno, "open \"/\"");
  for (size_t i = 0; i < names.size(); ++i) {
    at.is_complete = i + 1 == names.size();
    const std::string shown = at.path + "/" + names[i];
    POUCH_ASSIGN_OR_RETURN(UniqueFd next,
                           open_component(at.fd.get(), names[i], shown, at.is_complete, absent));
    if (!next.is_valid()) {
      at.is_complete = false;
      break;
    }
    POUCH_RETURN_IF_ERROR(check_owner(next.get(), shown, at.is_complete));
    at.fd = std::move(next);
    at.path = shown;
  }
  if (at.path.empty()) at.path = "/";
  return at;
}

}  // namespace

Result<UniqueFd> secure_mkdir(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(NearestDir made, walk(path, Absent::kMake));
  if (::fchmod(made.fd.get(), 0700) != 0) return errno_status(errno, "chmod " + quote(path));
  return std::move(made.fd);
}

Result<NearestDir> secure_look(const std::string& path) {
  return walk(path, Absent::kTell);
}

}  // namespace pouch::sys
