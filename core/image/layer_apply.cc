#include "core/image/layer_apply.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
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

Result<Digest> unpack(const ctrd::Client& client, const Call& call, const ctrd::Descriptor& blob,
                      LayerTree& tree, const ImageLimits& limits) {
  // Files get the modes that they are made with. The thread is ours, and so is its umask.
  if (::unshare(CLONE_FS) != 0) return errno_status(errno, "have a umask of one's own");
  ::umask(0);  // manners: of this thread alone, by CLONE_FS
  const Utf8Locale locale;
  std::unique_ptr<ByteSource> source = blob_file(client, call, blob);
  if (source == nullptr) source = content_source(client, call, blob.digest, blob.size);
  InflateSource plain(*source);
  {
    ReadAhead ahead(plain);
    POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> tar, TarReader::open_plain(ahead));
    POUCH_RETURN_IF_ERROR(LayerUnpacker(call, tree, limits).run(*tar));
  }
  return plain.digest();
}

}  // namespace

std::optional<OverlayFolders> overlay_folders(const std::vector<ctrd::Mount>& mounts) {
  if (mounts.size() != 1) return std::nullopt;
  const ctrd::Mount& mount = mounts.front();
  OverlayFolders out;
  if (mount.type == "bind") {
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

Result<Digest> unpack_in_place(const ctrd::Client& client, const Call& call, const ctrd::Descriptor& blob,
                               const OverlayFolders& folders, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd upper, open_folder(folders.upper));
  std::vector<UniqueFd> lowers;
  for (const std::string& lower : folders.lowers) {
    POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_folder(lower));
    lowers.push_back(std::move(fd));
  }
  LayerTree tree(std::move(upper), std::move(lowers));
  std::optional<Result<Digest>> result;
  start_thread([&] { result.emplace(unpack(client, call, blob, tree, limits)); }).join();
  return std::move(*result);
}

}  // namespace pouch::image
