#pragma once

#include <string>
#include <string_view>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/byte_source.h"
#include "core/image/limits.h"
#include "core/image/tar_writer.h"

struct archive_entry;

namespace pouch::image {

/// Copies a foreign tar (plain or compressed) entry by entry into a layer, so that only what was checked is
/// ever unpacked. InvalidArgument naming the entry for: absolute names, "..", whiteouts (".wh.*", character
/// device 0:0, overlay attributes), hard links to what is not there. Sockets are left out.
Status copy_rootfs_tar(ByteSource& source, TarWriter& layer, const ImageLimits& limits);

/// Copies a folder into a layer: names in byte order, numeric owners, hard links, extended attributes. Not
/// copied: the folder's own mode and owner, sockets, what other file systems hold that are mounted below.
/// The folder should not change meanwhile; a file that does is InvalidArgument, or, tolerated, of one moment
/// or another.
enum class Changes { kRefused, kTolerated };
Status copy_rootfs_folder(const Call& call, int folder_fd, TarWriter& layer, const ImageLimits& limits,
                          Changes changes = Changes::kRefused);

/// The entry's path made relative and plain; InvalidArgument where it is unsafe in a root file system.
Result<std::string> checked_path(std::string_view path, const ImageLimits& limits);
/// Of the attributes of a file, those that an image may carry: not the overlay's, nor labels that belong to
/// the host (SELinux, IMA, EVM).
bool is_portable_xattr(std::string_view name);

}  // namespace pouch::image
