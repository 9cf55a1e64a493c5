#pragma once

#include <string>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::sys {

/// Makes the folder (and missing parents, 0755) with mode 0700 and opens it. Every component is opened
/// without following links and must belong to root or to us, and be writable by nobody else (a sticky folder
/// like /tmp may be a parent). An existing last folder must be ours; its mode is set to 0700.
/// PermissionDenied names the folder.
Result<UniqueFd> secure_mkdir(const std::string& path);

/// What there is of a folder's path.
struct NearestDir {
  UniqueFd fd;               ///< the folder itself, or the nearest one above it that exists
  std::string path;          ///< of fd
  bool is_complete = false;  ///< it is the folder itself
};
/// The same checks on what exists of the path; makes and changes nothing.
Result<NearestDir> secure_look(const std::string& path);

}  // namespace pouch::sys
