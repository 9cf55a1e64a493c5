#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "core/base/status.h"
#include "core/image/layer_tree.h"
#include "core/image/limits.h"

struct archive_entry;

namespace pouch::image {

/// An entry of a layer's tar, as it is to be unpacked.
struct LayerEntry {
  std::string path;  ///< relative, without "." and ".."; empty: the root
  std::string parent;
  std::string name;
  std::string target;  ///< of a symbolic link as it is, of a hard link a path
  mode_t kind = 0;     ///< S_IFMT bits
  bool is_hard_link = false;
  dev_t device = 0;
  int64_t size = 0;  ///< of what is to be read, holes included
  FileAttributes attributes;
};

/// InvalidArgument for what is unsafe: a path or the target of a hard link that leads out of the root, an
/// owner that is no 32 bit number, a symbolic link to nothing, character device 0:0.
Result<LayerEntry> read_layer_entry(archive_entry* raw, const ImageLimits& limits);

}  // namespace pouch::image
