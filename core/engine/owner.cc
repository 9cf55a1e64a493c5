#include "core/engine/owner.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/id.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"

namespace pouch {
namespace {

constexpr size_t kTokenBytes = 8;

bool is_token(const std::string& name) {
  return name.size() == 2 * kTokenBytes && is_hex(name);
}

// Whether the file that is locked is still the one that the path names: a cleaner may have removed it between
// its creation and the lock.
bool is_same_file(int fd, const std::string& path) {
  struct stat held {};
  struct stat named {};
  return ::fstat(fd, &held) == 0 && ::lstat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

std::vector<std::string> tokens_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* listing = ::opendir(folder.c_str());
  if (listing == nullptr) return names;
  while (const dirent* entry = ::readdir(listing)) {
    if (is_token(entry->d_name)) names.emplace_back(entry->d_name);
  }
  ::closedir(listing);
  return names;
}

void remove_dead(const std::string& folder) {
  for (const std::string& name : tokens_in(folder)) {
    const std::string path = folder + "/" + name;
    // Removed only under its lock, so never from under a living owner.
    const auto lock = sys::FileLock::try_acquire(path);
    if (lock.is_ok()) ::unlink(path.c_str());
  }
}

}  // namespace

Owner::Owner(std::string folder, std::string token, sys::FileLock lock)
    : folder_(std::move(folder)), token_(std::move(token)), lock_(std::move(lock)), pid_(::getpid()) {}

Owner::~Owner() {
  // In a child of fork() it is the parent's.
  if (::getpid() == pid_) ::unlink((folder_ + "/" + token_).c_str());
}

Result<std::unique_ptr<Owner>> Owner::create(const std::string& folder) {
  remove_dead(folder);
  while (true) {
    std::string token = random_hex(kTokenBytes);
    const std::string path = folder + "/" + token;
    auto lock = sys::FileLock::try_acquire(path);
    if (lock.code() == Code::kConflict) continue;
    if (!lock.is_ok()) return lock.status();
    if (!is_same_file(lock->fd(), path)) continue;
    return std::unique_ptr<Owner>(new Owner(folder, std::move(token), std::move(*lock)));
  }
}

bool Owner::is_alive(const std::string& token) const {
  if (token == token_) return true;
  if (!is_token(token)) return false;
  const UniqueFd fd(::open((folder_ + "/" + token).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_valid()) return errno != ENOENT;  // not able to tell: leave its work alone
  struct flock probe {};
  probe.l_type = F_WRLCK;
  probe.l_whence = SEEK_SET;
  probe.l_len = 1;
  if (::fcntl(fd.get(), F_OFD_GETLK, &probe) != 0) return true;
  return probe.l_type != F_UNLCK;
}

}  // namespace pouch
