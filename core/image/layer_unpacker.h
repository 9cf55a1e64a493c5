#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/layer_entry.h"
#include "core/image/layer_tree.h"
#include "core/image/limits.h"
#include "core/image/tar_reader.h"

struct archive_entry;

namespace pouch::image {

/// Unpacks the tar of one layer into an overlay's upper folder, in the overlay's form of whiteouts, as
/// containerd's Diff.Apply does it: later entries replace earlier ones, links in the paths of entries stay
/// inside, folders that the tar leaves out are as they are below, folders' times are set at the end. Beyond
/// that, a hard link to a file of a lower layer has it copied up.
///
/// Errors: InvalidArgument naming the entry, for what is unsafe (".." out of the root, bad whiteouts,
/// character device 0:0) or fits no file system, and for a damaged tar; ResourceExhausted for a full disk or
/// over a limit.
class LayerUnpacker {
 public:
  LayerUnpacker(const Call& call, LayerTree& tree, const ImageLimits& limits)
      : call_(call), tree_(tree), limits_(limits) {}

  /// To the end of the tar. The thread's umask must be 0.
  Status run(TarReader& tar);

 private:
  struct Folder {
    std::string parent;
    std::string name;
    timespec accessed;
    timespec modified;
  };

  Status unpack(TarReader& tar, archive_entry* raw);
  Status whiteout(int folder, const LayerEntry& entry);
  Status make(TarReader& tar, int folder, const LayerEntry& entry);
  Status make_file(TarReader& tar, int folder, const LayerEntry& entry);
  Status make_folder(int folder, const LayerEntry& entry);
  Status make_link(const LayerEntry& entry);
  Status make_node(int folder, const LayerEntry& entry);
  Status write_data(TarReader& tar, int file, int64_t size);
  Status clear_way(int folder, const LayerEntry& entry);
  Status set_folder_times();

  const Call& call_;
  LayerTree& tree_;
  const ImageLimits& limits_;
  int64_t entries_ = 0;
  int64_t bytes_ = 0;
  std::vector<Folder> folders_;  ///< whose times are to be set
};

}  // namespace pouch::image
