#include "core/container/rootfs_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/below.h"
#include "core/sys/file.h"

namespace pouch::container {
namespace {

using sys::open_below;

constexpr size_t kMaxFile = size_t{4} << 20;

enum class Found { kFile, kNothing, kHidden };

Result<std::string> read_fd(int fd) {
  std::string text;
  char buffer[16384];
  while (true) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_status(errno, "read a file of the container's root");
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > kMaxFile) {
      return Status(Code::kResourceExhausted, "a file of the container's root is larger than 4 MiB");
    }
  }
}

bool is_opaque(int folder) {
  char value[4];
  return ::fgetxattr(folder, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

// In one layer: the file, or a sign that lower layers do not count.
Found look_in_layer(const std::string& layer, const std::string& path, UniqueFd& file) {
  const UniqueFd root(::open(layer.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.is_valid()) return Found::kNothing;
  Found result = Found::kNothing;
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos) {
    const UniqueFd folder = open_below(root.get(), path.substr(0, slash), O_RDONLY | O_DIRECTORY);
    if (folder.is_valid() && is_opaque(folder.get())) result = Found::kHidden;
    struct stat info {};
    const UniqueFd entry = open_below(root.get(), path.substr(0, slash), O_PATH | O_NOFOLLOW);
    if (entry.is_valid() && ::fstat(entry.get(), &info) == 0 && S_ISCHR(info.st_mode)) return Found::kHidden;
  }
  const UniqueFd probe = open_below(root.get(), path, O_PATH);
  struct stat info {};
  if (!probe.is_valid() || ::fstat(probe.get(), &info) != 0) return result;
  if (!S_ISREG(info.st_mode)) return Found::kHidden;  // a whiteout, or nothing to be read
  file = open_below(root.get(), path, O_RDONLY | O_NONBLOCK);
  return file.is_valid() ? Found::kFile : Found::kHidden;
}

// Top first. Colons in paths come escaped by a backslash.
std::vector<std::string> layers_of(const ctrd::Mount& mount) {
  std::vector<std::string> layers;
  if (mount.type == "bind") return {mount.source};
  for (const std::string& option : mount.options) {
    if (option.starts_with("upperdir=")) layers.insert(layers.begin(), option.substr(9));
    if (!option.starts_with("lowerdir=")) continue;
    std::string layer;
    for (size_t i = 9; i < option.size(); ++i) {
      if (option[i] == '\\' && i + 1 < option.size()) {
        layer += option[++i];
      } else if (option[i] == ':') {
        layers.push_back(std::move(layer));
        layer.clear();
      } else {
        layer += option[i];
      }
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace

Result<std::string> read_rootfs_file(const std::vector<ctrd::Mount>& mounts, const std::string& path) {
  if (mounts.size() != 1 || (mounts[0].type != "overlay" && mounts[0].type != "bind")) {
    return not_implemented("users and groups by name need an overlay root filesystem, this one is " +
                           quote(mounts.empty() ? "none" : mounts[0].type));
  }
  for (const std::string& layer : layers_of(mounts[0])) {
    UniqueFd file;
    const Found found = look_in_layer(layer, path, file);
    if (found == Found::kFile) return read_fd(file.get());
    if (found == Found::kHidden) break;
  }
  return std::string();
}

Result<std::string> read_file_below(const std::string& root, const std::string& path) {
  const UniqueFd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_valid()) return errno_status(errno, "open " + root);
  const UniqueFd file = open_below(folder.get(), path, O_RDONLY | O_NONBLOCK);
  struct stat info {};
  if (!file.is_valid() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::string();
  return read_fd(file.get());
}

}  // namespace pouch::container
