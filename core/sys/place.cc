#include "core/sys/place.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/sys/file.h"

namespace pouch::sys {
namespace {

constexpr std::array kKinds = {"mnt", "net", "pid"};

// "net 4026531840"; of the calling thread, which may have left its process's namespaces.
std::string namespace_line(const std::string& kind) {
  struct stat facts = {};
  if (::stat(("/proc/thread-self/ns/" + kind).c_str(), &facts) != 0) return {};
  return kind + " " + std::to_string(facts.st_ino);
}

}  // namespace

Status write_place(int fd) {
  std::string text = std::to_string(::getpid()) + "\n";
  for (const char* kind : kKinds) {
    if (const std::string line = namespace_line(kind); !line.empty()) text += line + "\n";
  }
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text.data(), text.size(), 0) < 0) {
    return errno_status(errno, "write the process id");
  }
  return {};
}

Status check_same_place(const std::string& lock_file, const std::string& who) {
  if (!FileLock::is_held(lock_file)) return {};
  const auto text = read_file(lock_file);
  if (!text.is_ok()) return {};  // gone meanwhile
  const std::string lines = "\n" + *text;
  for (const std::string kind : kKinds) {
    const std::string mine = namespace_line(kind);
    // One that began a moment ago has not written it yet: it is of this place or tells so soon.
    if (mine.empty() || lines.find("\n" + kind + " ") == std::string::npos) continue;
    if (lines.find("\n" + mine + "\n") != std::string::npos) continue;
    return {Code::kPermissionDenied, who + " (process " + std::to_string(leading_number<int>(*text)) +
                                         ") is in another " + kind +
                                         " namespace than this process; use the root from there"};
  }
  return {};
}

int locked_by(const std::string& lock_file) {
  if (!FileLock::is_held(lock_file)) return 0;
  const auto text = read_file(lock_file);
  return text.is_ok() ? leading_number<int>(*text) : 0;
}

}  // namespace pouch::sys
