#include "core/engine/token_file.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "core/base/id.h"
#include "core/base/text.h"

namespace pouch {
namespace {

constexpr size_t kTokenBytes = 8;

// Whether the file that is locked is still the one that the path names: a cleaner may have removed it between
// its creation and the lock.
bool is_same_file(int fd, const std::string& path) {
  struct stat held {};
  struct stat named {};
  return ::fstat(fd, &held) == 0 && ::lstat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

}  // namespace

bool is_token(const std::string& name) {
  return name.size() == 2 * kTokenBytes && is_hex(name);
}

Result<TokenFile> make_token_file(const std::string& folder) {
  while (true) {
    std::string token = random_hex(kTokenBytes);
    const std::string path = folder + "/" + token;
    auto lock = sys::FileLock::try_acquire(path);
    if (lock.code() == Code::kConflict) continue;
    if (!lock.is_ok()) return lock.status();
    if (is_same_file(lock->fd(), path)) return TokenFile{std::move(token), std::move(*lock)};
  }
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

void remove_if_unlocked(const std::string& folder, const std::string& token) {
  const std::string path = folder + "/" + token;
  // Removed only under its lock, so never from under a living owner.
  const auto lock = sys::FileLock::try_acquire(path);
  if (lock.is_ok()) ::unlink(path.c_str());
}

}  // namespace pouch
