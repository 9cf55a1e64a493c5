#pragma once

#include <string>

#include "core/base/status.h"

namespace pouch::sys {

/// A process that serves a root tells in the file that it holds locked (FileLock) who and where it is: its
/// pid, then one line per namespace in which another process must be to work with it.

/// Writes it into the locked file `fd`.
Status write_place(int fd);

/// Ok when nobody holds `lock_file`, or its holder is in the same mount, net and pid namespaces as the
/// calling thread. Else PermissionDenied: "the keeper (process 12) is in another net namespace", with `who`
/// for "the keeper".
Status check_same_place(const std::string& lock_file, const std::string& who);

/// The pid in it, as its writer sees it; 0 when nobody holds the file.
int locked_by(const std::string& lock_file);

}  // namespace pouch::sys
