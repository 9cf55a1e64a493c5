#include "core/image/layer_apply.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <utility>

#include "core/base/executor.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/ctrd/content.h"
#include "core/ctrd/introspection.h"
#include "core/ctrd/snapshots.h"
#include "core/image/content_sink.h"
#include "core/image/inflate_source.h"
#include "core/image/layer_tree.h"
#include "core/image/layer_unpacker.h"
#include "core/image/read_ahead.h"
#include "core/image/tar_reader.h"

namespace pouch::image {
namespace {

constexpr std::string_view kUpper = "upperdir=";
constexpr std::string_view kLower = "lowerdir=";
constexpr const char* kOpaqueXattr = "trusted.overlay.opaque";

Result<UniqueFd> open_folder(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_valid()) return errno_status(errno, "open " + quote(path));
  return fd;
}

// The file in which containerd keeps a blob, where it is in our sight; its size must be right. The digest of
// what comes out of it is compared anyway.
std::unique_ptr<ByteSource> blob_file(const ctrd::Client& client, const Call& call,
                                      const ctrd::Descriptor& blob) {
  const auto plugin = client.introspection().plugin(call, "io.containerd.content.v1", "content");
  if (!plugin.is_ok() || !plugin->exports.contains("root")) return nullptr;
  const std::string digest = blob.digest.str();
  const std::string path =
      plugin->exports.at("root") + "/blobs/sha256/" + digest.substr(digest.find(':') + 1);
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!file.is_valid() || ::fstat(file.get(), &info) != 0 || info.st_size != blob.size) return nullptr;
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return std::make_unique<FileSource>(std::move(file));
}

Result<Digest> unpack_on_this_thread(const ctrd::Client& client, const Call& call,
                                     const ctrd::Descriptor& blob, LayerTree& tree,
                                     const ImageLimits& limits) {
  // Files get the modes that they are made with. The thread is ours, and so is its umask.
  if (::unshare(CLONE_FS) != 0) return errno_status(errno, "have a umask of one's own");
  ::umask(0);  // manners: of this thread alone, by CLONE_FS
  const Utf8Locale locale;
  std::unique_ptr<ByteSource> source = blob_file(client, call, blob);
  if (source == nullptr) source = content_source(client, call, blob.digest, blob.size);
  InflateSource plain(*source);
  {
    BoundedSource bounded(plain, call, limits.max_layer_bytes);
    ReadAhead ahead(bounded);
    POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> tar, TarReader::open_plain(ahead));
    POUCH_RETURN_IF_ERROR(LayerUnpacker(call, tree, limits).run(*tar));
  }
  return plain.digest();
}

Result<std::vector<std::string>> names_in(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (auto at = std::filesystem::directory_iterator(folder, error);
       !error && at != std::filesystem::directory_iterator(); at.increment(error))
    names.push_back(at->path().filename().string());
  if (error) return errno_status(error.value(), "read " + quote(folder));
  return names;
}

// The kernel takes no upper root for opaque: each name of the layers below is hidden by itself.
Status hide_all(int upper, const std::vector<std::string>& lowers) {
  for (const std::string& lower : lowers) {
    POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, names_in(lower));
    for (const std::string& name : names) {
      if (::mknodat(upper, name.c_str(), S_IFCHR, 0) == 0) continue;
      if (errno != EEXIST) return errno_status(errno, "hide " + quote(name));
      struct stat info {};
      if (::fstatat(upper, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno_status(errno, "stat " + quote(name));
      const std::string path = "/proc/self/fd/" + std::to_string(upper) + "/" + name;
      if (S_ISDIR(info.st_mode) && ::lsetxattr(path.c_str(), kOpaqueXattr, "y", 1, 0) != 0)
        return errno_status(errno, "make " + quote(name) + " opaque");
    }
  }
  return {};
}

}  // namespace

Status diff_mismatch(const ImageLayer& layer, const Digest& got) {
  return {Code::kDataLoss, "layer " + layer.blob.digest.str() + " unpacks to " + got.str() +
                               ", but the image config says " + layer.diff_id.str()};
}

std::optional<OverlayFolders> overlay_folders(const std::vector<ctrd::Mount>& mounts, bool is_lowest) {
  if (mounts.size() != 1) return std::nullopt;
  const ctrd::Mount& mount = mounts.front();
  OverlayFolders out;
  if (is_lowest && mount.type == "bind") {
    // What will be an overlay's upper folder has its work folder beside it. A snapshotter that copies its
    // layers has none, and would take a layer's whiteouts for devices.
    std::error_code error;
    const std::filesystem::path work = std::filesystem::path(mount.source).parent_path() / "work";
    if (!std::filesystem::is_directory(work, error)) return std::nullopt;
    out.upper = mount.source;
    return out;
  }
  if (mount.type != "overlay") return std::nullopt;
  for (const std::string& option : mount.options) {
    if (option.starts_with(kUpper)) out.upper = option.substr(kUpper.size());
    // Names with a colon come escaped; containerd makes none.
    if (option.find('\\') != std::string::npos || option == "userxattr") return std::nullopt;
    if (option.starts_with(kLower)) out.lowers = split(option.substr(kLower.size()), ':');
  }
  if (out.upper.empty()) return std::nullopt;
  return out;
}

Result<bool> shares_folders(const ctrd::Client& client, const Call& call, const std::string& snapshotter,
                            const std::string& key, const OverlayFolders& folders) {
  const std::string probe = folders.upper + "/.pouch-probe-" + random_hex(8);
  const ScopeGuard gone([&] { ::unlink(probe.c_str()); });
  {
    const UniqueFd file(::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.is_valid()) return false;
  }
  POUCH_ASSIGN_OR_RETURN(const ctrd::SnapshotUsage usage, client.snapshots().usage(call, snapshotter, key));
  return usage.inodes >= 2;
}

Result<StagedLayer> StagedLayer::unpack(const ctrd::Client& client, const Call& call,
                                        const ctrd::Descriptor& blob, const std::string& folder,
                                        bool is_lowest, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd upper, open_folder(folder));
  auto tree = std::make_unique<LayerTree>(std::move(upper), is_lowest, limits);
  std::optional<Result<Digest>> result;
  start_thread([&] { result.emplace(unpack_on_this_thread(client, call, blob, *tree, limits)); }).join();
  if (!result->is_ok()) return result->status();
  return StagedLayer(folder, std::move(tree), std::move(**result));
}

Status StagedLayer::move_into(const OverlayFolders& folders) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd from, open_folder(folder_));
  POUCH_ASSIGN_OR_RETURN(UniqueFd to, open_folder(folders.upper));
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, names_in(folder_));
  for (const std::string& name : names) {
    if (::renameat(from.get(), name.c_str(), to.get(), name.c_str()) != 0)
      return errno_status(errno, "move " + quote(name) + " into " + quote(folders.upper));
  }
  char value = 0;
  const bool is_opaque = ::fgetxattr(from.get(), kOpaqueXattr, &value, 1) == 1;
  if (is_opaque && ::fsetxattr(to.get(), kOpaqueXattr, &value, 1, 0) != 0)
    return errno_status(errno, "make the root opaque");
  if (is_opaque) POUCH_RETURN_IF_ERROR(hide_all(to.get(), folders.lowers));
  tree_->move_to(std::move(to));
  std::vector<UniqueFd> lowers;
  for (const std::string& lower : folders.lowers) {
    POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_folder(lower));
    lowers.push_back(std::move(fd));
  }
  return tree_->complete(lowers);
}

}  // namespace pouch::image
