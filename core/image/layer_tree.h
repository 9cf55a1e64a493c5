#pragma once

#include <sys/stat.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/image/limits.h"

namespace pouch::image {

/// What a file is beside its content.
struct FileAttributes {
  mode_t mode = 0;  ///< permissions, set-id bits and sticky bit
  uid_t uid = 0;
  gid_t gid = 0;
  timespec accessed{};
  timespec modified{};
  std::map<std::string, std::string> xattrs;
};

/// The folder that becomes a layer: an overlay's upper folder, unmounted. Nothing outside of it is ever
/// touched: links are resolved here, component by component, and never leave the folder. What the layers
/// below must be known for is left for complete(). For one thread.
class LayerTree {
 public:
  /// `is_lowest`: there are no layers below.
  LayerTree(UniqueFd upper, bool is_lowest, const ImageLimits& limits = {})
      : upper_(std::move(upper)), is_lowest_(is_lowest), limits_(limits) {}

  bool is_lowest() const { return is_lowest_; }
  /// The same content is in this folder now.
  void move_to(UniqueFd upper) {
    upper_ = std::move(upper);
    known_.clear();
  }
  /// The folder at `path` (relative, plain), through the links of this layer. What is missing is made, with
  /// mode 0755 for the time being. Valid until the next call of any function here. InvalidArgument where
  /// something else is in the way, for too many links, and too deep.
  Result<int> folder(const std::string& path);
  /// The same without making anything; -1 where it is not there.
  Result<int> find_folder(const std::string& path);
  /// Removes what stands at a name in one of these folders, and all below.
  Status remove(int folder, const std::string& name);
  /// The tar has told of this folder: it is as that says, not as it is below.
  void tell(const struct stat& info) { implied_.erase(info.st_ino); }
  /// A hard link to what this layer does not have.
  Status link_later(std::string target, std::string path) {
    POUCH_RETURN_IF_ERROR(remember(target.size() + path.size()));
    links_.emplace_back(std::move(target), std::move(path));
    return {};
  }
  /// So many bytes of names are kept until the end; ResourceExhausted when that is too much.
  Status remember(size_t bytes);

  /// With the folders of the layers below, topmost first: folders that the tar left out become what they are
  /// there (mode, owner, times, attributes), and hard links to files of these have them copied up.
  /// InvalidArgument for a link to nothing.
  Status complete(const std::vector<UniqueFd>& lowers);

 private:
  Result<UniqueFd> walk(const std::string& path, bool makes);
  Status make_folder(int parent, const std::string& name, const std::string& path);
  Status copy_up(const std::vector<UniqueFd>& lowers, const std::string& path);
  Status complete_folder(const std::vector<UniqueFd>& lowers, const std::string& path, ino_t inode);
  Status link(const std::vector<UniqueFd>& lowers, const std::string& target, const std::string& path);

  UniqueFd upper_;
  const bool is_lowest_;
  const ImageLimits limits_;
  size_t remembered_ = 0;                  ///< bytes
  int64_t made_ = 0;                       ///< folders that the tar did not tell of, so far
  std::map<std::string, UniqueFd> known_;  ///< folders by the path they were asked for
  std::map<ino_t, std::string> implied_;   ///< folders that the tar did not tell of so far
  std::vector<std::pair<std::string, std::string>> links_;
};

/// "a/b" and "c" of "a/b/c".
std::pair<std::string, std::string> split_path(const std::string& path);
/// What a call failed with while a layer was unpacked: InvalidArgument where that is the layer's fault, as
/// for a name that no file system takes.
Status layer_errno(int error, std::string_view what);
/// Of what an O_PATH or other descriptor is of.
Result<FileAttributes> read_attributes(int fd);
/// Owner, attributes, then mode (which a change of the owner may change), then times, of a name in a folder;
/// its link itself is meant. `kind` are the S_IFMT bits. Attributes that the file system lacks are left out.
Status apply_attributes(int folder, const std::string& name, mode_t kind, const FileAttributes& attributes);
/// Whether a layer may give a file the attribute: not those of the administrator (trusted.), among which the
/// overlay has its own.
bool is_foreign_xattr(std::string_view name);

}  // namespace pouch::image
