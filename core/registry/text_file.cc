#include "core/registry/text_file.h"

#include <cerrno>
#include <fstream>
#include <sstream>

namespace pouch::registry {

Result<std::string> read_text_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) return std::string();
    return errno_status(errno, "read " + path);
  }
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return unavailable("read " + path + ": it cannot be read");
  return text.str();
}

}  // namespace pouch::registry
