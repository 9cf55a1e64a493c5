#pragma once

#include <string>
#include <vector>

#include "core/api/json.h"

namespace pouch::spec {

/// The default system call filter as the OCI spec's linux.seccomp object: what is not listed answers EPERM
/// (clone3: ENOSYS, so that libc falls back to clone). Some calls come with capabilities.
Json default_seccomp(const std::vector<std::string>& capabilities);

}  // namespace pouch::spec
