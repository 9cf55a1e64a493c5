#pragma once

#include <string>

namespace pouch::cli {

/// Whether "localhost:5000/box" says more than the repository.
bool has_tag_or_digest(const std::string& image);
/// "busybox" is docker.io/library/busybox; what has a host is that host's.
std::string full_name(const std::string& image);
/// The host of the registry: "docker.io", "localhost:5000".
std::string registry_of(const std::string& image);

}  // namespace pouch::cli
