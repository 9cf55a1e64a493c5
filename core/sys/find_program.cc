#include "core/sys/find_program.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "core/base/finding.h"
#include "core/base/text.h"
#include "core/sys/file.h"

namespace pouch::sys {
namespace {

const char kAnchor = 0;  // its address tells which file we were loaded from

bool is_executable(const std::string& path) {
  struct stat facts = {};
  return ::stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

std::string self_executable() {
  std::array<char, PATH_MAX> buffer;
  const ssize_t length = ::readlink("/proc/self/exe", buffer.data(), buffer.size());
  return length > 0 ? std::string(buffer.data(), static_cast<size_t>(length)) : std::string();
}

Result<std::string> only(const std::string& name, const std::string& path, const std::string& origin) {
  if (is_executable(path)) return path;
  return not_found("find program " + quote(name) + ": " + quote(path) + " (from " + origin +
                   ") is not an executable file");
}

std::vector<std::string> candidate_dirs() {
  std::vector<std::string> dirs;
  if (const std::string own = own_library_dir(); !own.empty()) {
    for (const char* suffix : {"", "/../bin", "/../libexec/pouch"}) dirs.push_back(own + suffix);
  }
  if (const char* path = ::secure_getenv("PATH"); path != nullptr) {
    for (std::string& dir : split(path, ':')) {
      if (!dir.empty() && dir.front() == '/') dirs.push_back(std::move(dir));
    }
  }
  for (const char* dir : {"/usr/local/libexec/pouch", "/usr/libexec/pouch", "/usr/local/sbin",
                          "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    dirs.emplace_back(dir);
  }
  return dirs;
}

}  // namespace

std::string own_library_dir() {
  Dl_info info = {};
  std::string file;
  if (::dladdr(&kAnchor, &info) != 0 && info.dli_fname != nullptr) file = info.dli_fname;
  // For the main program dladdr gives argv[0], which may be relative to a folder left since.
  if (file.empty() || file.front() != '/') file = self_executable();
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? std::string() : file.substr(0, slash);
}

Result<std::string> find_program_in(const std::string& name, const std::vector<std::string>& dirs) {
  if (name.starts_with('/')) {
    if (is_executable(name)) return name;
    return not_found(quote(name) + " is not an executable file");
  }
  for (const std::string& dir : dirs) {
    std::string path = dir + "/" + name;
    if (is_executable(path)) return path;
  }
  return not_found("tried " + join(dirs, ", "));
}

std::string shim_program(const std::string& name) {
  const std::vector<std::string> parts = split(name, '.');
  if (name.starts_with('/') || parts.size() < 2) return name;
  return "containerd-shim-" + parts[parts.size() - 2] + "-" + parts.back();
}

Result<std::string> find_program(const std::string& name, const ProgramHints& hints) {
  if (!hints.option.empty()) return only(name, hints.option, "the option");
  if (!hints.variable.empty()) {
    const char* value = ::secure_getenv(hints.variable.c_str());
    if (value != nullptr && *value != '\0') return only(name, value, "$" + hints.variable);
  }
  std::vector<std::string> tried;
  for (const std::string& dir : candidate_dirs()) {
    std::string path = dir + "/" + name;
    if (is_executable(path)) return path;
    if (tried.empty() || tried.back() != dir) tried.push_back(dir);
  }
  std::string variable = hints.variable.empty() ? "" : "$" + hints.variable + " (not set), ";
  return not_found("find program " + quote(name) + ": tried " + variable + join(tried, ", "));
}

Result<std::string> find_containerd() {
  auto found = find_program("containerd", {"", "POUCH_CONTAINERD_PATH"});
  if (found.is_ok()) return found;
  return findings::missing_containerd(found.status().message()).status(Code::kUnavailable);
}

}  // namespace pouch::sys
