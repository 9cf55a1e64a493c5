#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace pouch::cli {

/// Writes a folder as a tar (pax) with owners, modes, times, extended attributes, hard links and devices;
/// names are relative to the folder. Sockets are left out. `sink` takes the bytes; when it answers false the
/// writing ends early, which is no error here. Throws Exit.
void write_folder_tar(const std::string& folder, const std::function<bool(std::string_view)>& sink);

}  // namespace pouch::cli
