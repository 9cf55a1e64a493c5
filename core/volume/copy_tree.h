#pragma once

#include "core/base/status.h"

namespace pouch::volume {

/// Copies all that is in one folder into another, which is empty, and gives that the first one's owner, mode
/// and attributes: owners, modes, times, extended attributes, hard links, devices. Links are copied and never
/// followed. Both are descriptors opened for reading.
Status copy_tree(int from, int to);

/// Whether nothing is in the folder.
Result<bool> is_empty_folder(int folder);

}  // namespace pouch::volume
