#pragma once

#include <cstdint>

#include "core/base/status.h"

// Limits of the bytes below a folder, by the project quotas of ext4 and XFS: an inode has the number of a
// project, a folder gives its own to what is made in it, and the file system counts by these numbers. Folders
// are descriptors opened for reading. Linux 5.14 or newer (quotactl_fd).

namespace pouch::sys {

/// Whether the folder's file system counts projects and holds them to their limits (it is mounted with
/// "prjquota"), and we may set them.
bool has_project_quotas(int folder);

/// The number of the project that the folder gives to what is made in it; 0 when it has none.
Result<uint32_t> project_of(int folder);
/// Whether a project was chosen by choose_project(), here or in another root.
bool is_chosen_project(uint32_t project);
/// A number that nobody on the folder's file system has: chosen by chance from half of all, far beyond those
/// that Docker (which counts from 1) and people give, and without files or a limit there.
Result<uint32_t> choose_project(int folder);

/// Gives a folder, and what is in it already, to a project; the folder last, so that it tells whether all of
/// it was done. Links, devices, sockets and pipes keep theirs: they have no bytes.
Status give_to_project(int folder, uint32_t project);

/// What the project may have on the folder's file system, in whole blocks of 512 bytes; 0 is no limit.
Status limit_project(int folder, uint32_t project, uint64_t bytes);

struct ProjectUse {
  uint64_t limit = 0;  ///< bytes; 0 there is none
  uint64_t bytes = 0;
  uint64_t files = 0;
};
Result<ProjectUse> project_use(int folder, uint32_t project);

}  // namespace pouch::sys
