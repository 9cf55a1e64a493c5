#include "core/volume/folder_bytes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/unique_fd.h"

namespace pouch::volume {
namespace {

struct CloseDir {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

struct Sum {
  int64_t bytes = 0;
  std::set<std::pair<dev_t, ino_t>> seen;  ///< files of several names
};

// The names of the folders in it.
std::vector<std::string> add_folder(UniqueFd folder, Sum& sum) {
  std::vector<std::string> folders;
  const int fd = folder.get();
  const std::unique_ptr<DIR, CloseDir> listing(::fdopendir(fd));
  if (!listing) return folders;
  static_cast<void>(folder.release());
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    struct stat info {};
    if (name == "." || name == ".." || ::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    if (S_ISDIR(info.st_mode)) {
      folders.emplace_back(name);
    } else if (info.st_nlink < 2 || sum.seen.emplace(info.st_dev, info.st_ino).second) {
      sum.bytes += info.st_size;
    }
  }
  return folders;
}

}  // namespace

// By paths below the top, each opened without following links: depth costs no descriptors.
Result<int64_t> folder_bytes(const std::string& path) {
  const UniqueFd top(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top.is_valid()) return errno_status(errno, "open " + path);
  Sum sum;
  std::vector<std::string> todo{"."};
  while (!todo.empty()) {
    const std::string next = std::move(todo.back());
    todo.pop_back();
    UniqueFd folder(::openat(top.get(), next.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder.is_valid()) continue;
    for (const std::string& name : add_folder(std::move(folder), sum)) todo.push_back(next + "/" + name);
  }
  return sum.bytes;
}

}  // namespace pouch::volume
