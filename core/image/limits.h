#pragma once

#include <cstddef>
#include <cstdint>

namespace pouch::image {

/// What foreign archives may cost us. Over one of them is ResourceExhausted, naming it.
struct ImageLimits {
  int64_t max_archive_entries = 200'000;
  int64_t max_archive_bytes = int64_t{512} << 30U;  ///< after the archive's own compression is undone
  size_t max_json_bytes = size_t{4} << 20U;         ///< of one manifest, index or config
  int max_json_depth = 64;
  size_t max_memory_bytes = size_t{64} << 20U;  ///< of small files kept in memory while an archive is read
  size_t max_images = 1000;                     ///< of one archive
  size_t max_names = 10'000;                    ///< of one archive
  size_t max_layers = 125;                      ///< of one image; overlayfs mounts take no more
  int max_index_depth = 4;                      ///< indexes inside indexes
  int64_t max_rootfs_entries = 4'000'000;
  int64_t max_rootfs_bytes = int64_t{512} << 30U;
  int64_t max_layer_bytes = int64_t{1} << 40U;  ///< of one layer's tar, after its compression is undone
  size_t max_path_bytes = 4096;
  size_t max_depth = 512;                      ///< of folders in folders
  size_t max_name_bytes = size_t{256} << 20U;  ///< of names kept in memory while a tar is read
};

}  // namespace pouch::image
