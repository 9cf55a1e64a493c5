#pragma once

#include <sys/stat.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

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

/// The folder that becomes a layer, with those of the layers below it: an overlay's upper and lower folders,
/// unmounted. Nothing outside of them is ever touched: links are resolved here, component by component, and
/// never leave the upper folder. For one thread.
class LayerTree {
 public:
  /// `lowers`: topmost first.
  LayerTree(UniqueFd upper, std::vector<UniqueFd> lowers)
      : upper_(std::move(upper)), lowers_(std::move(lowers)) {}

  /// The folder at `path` (relative, plain) in the upper folder, through its links. What is missing is made
  /// as it is in the lower layers (mode, owner, times, attributes), else 0755. Valid until the next call of
  /// any function here. InvalidArgument where something else is in the way, or for too many links.
  Result<int> folder(const std::string& path);
  /// The same without making anything; -1 where it is not there.
  Result<int> find_folder(const std::string& path);
  /// Copies a file of the lower layers up, with all that it is. NotFound when there is none, InvalidArgument
  /// when it is no regular file.
  Status copy_up(const std::string& path);
  /// Removes what stands at a name in one of these folders, and all below.
  Status remove(int folder, const std::string& name);
  bool has_lowers() const { return !lowers_.empty(); }
  /// Once more, at the end: what was put into a folder has changed its time.
  Status restore_times();

 private:
  Result<UniqueFd> walk(const std::string& path, bool makes);
  Status make_folder(int parent, const std::string& name, const std::string& path);

  const UniqueFd upper_;
  const std::vector<UniqueFd> lowers_;
  std::map<std::string, UniqueFd> known_;  ///< folders by the path they were asked for
  std::map<std::string, FileAttributes> implied_;
};

/// Of what an O_PATH or other descriptor is of.
Result<FileAttributes> read_attributes(int fd);
/// Owner, attributes, then mode (which a change of the owner may change), then times, of a name in a folder;
/// its link itself is meant. `kind` are the S_IFMT bits. Attributes that the file system lacks are left out.
Status apply_attributes(int folder, const std::string& name, mode_t kind, const FileAttributes& attributes);
/// Whether a layer may give a file the attribute: not those of the administrator (trusted.), among which the
/// overlay has its own.
bool is_foreign_xattr(std::string_view name);

}  // namespace pouch::image
