#include "core/sys/own_cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <vector>

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/sys/file.h"
#include "core/sys/mounts.h"
#include "core/sys/systemd_scope.h"

namespace pouch::sys {
namespace {

constexpr int kTries = 3;
constexpr int kLeavingMs = 500;  // for processes that are ending
constexpr int kLookMs = 5;

// Where each hierarchy is mounted.
std::vector<std::string> hierarchies() {
  std::vector<std::string> folders;
  std::set<std::string> seen;  // one that is mounted twice
  const auto mounts = read_mountinfo();
  if (!mounts.is_ok()) return folders;
  for (const MountEntry& mount : *mounts) {
    if (mount.fs_type != "cgroup" && mount.fs_type != "cgroup2") continue;
    const std::string device = std::to_string(mount.major) + ":" + std::to_string(mount.minor);
    if (seen.insert(device).second) folders.push_back(mount.mount_point);
  }
  return folders;
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

bool write_text(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd.is_valid() && write_all(fd.get(), text).is_ok();
}

// A new group of version 1's cpuset takes no process before it has CPUs and memory.
void inherit_cpuset(const std::string& folder) {
  for (const char* name : {"/cpuset.cpus", "/cpuset.mems"}) {
    if (::access((folder + name).c_str(), F_OK) != 0) continue;
    const auto own = read_file(folder + name);
    if (own.is_ok() && !trim(*own).empty()) continue;
    const auto above = read_file(parent_of(folder) + name);
    if (above.is_ok()) write_text(folder + name, *above);
  }
}

bool make_group(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return false;
  inherit_cpuset(folder);
  return true;
}

bool enter(const std::string& top, const std::string& path) {
  // Again when another, ending, removed the group between making and entering it.
  for (int i = 0; i < kTries; ++i) {
    const bool is_made = make_group(top + parent_of(path)) && make_group(top + path);
    if (is_made && write_text(top + path + "/cgroup.procs", "0")) return true;
  }
  return false;
}

// False: the kernel refuses while a process or a group is in it.
bool remove_in(const std::string& top, const std::string& path) {
  if (::rmdir((top + path).c_str()) != 0 && errno != ENOENT) return false;
  ::rmdir((top + parent_of(path)).c_str());
  return true;
}

// Deepest first. The files in a group's folder go with it.
void remove_groups(const std::string& folder) {
  DIR* listing = ::opendir(folder.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') remove_groups(folder + "/" + entry->d_name);
  }
  ::closedir(listing);
  ::rmdir(folder.c_str());
}

bool is_in(const std::string& path) {
  const auto text = read_file("/proc/self/cgroup");
  return text.is_ok() && (*text + "\n").find(":" + path + "\n") != std::string::npos;
}

}  // namespace

bool enter_own_cgroup(const std::string& path) {
  bool entered = false;
  for (const std::string& top : hierarchies()) entered = enter(top, path) || entered;
  return entered;
}

void leave_own_cgroup(const std::string& path) {
  // systemd removes a scope with all below it when the last process is gone; the hierarchy's top is not ours.
  if (is_scope(parent_of(path))) return;
  const bool is_inside = is_in(path);
  std::vector<std::string> tops = hierarchies();
  for (const std::string& top : tops) {
    if (is_inside) write_text(top + "/cgroup.procs", "0");
  }
  // Whoever leaves last removes it: a process that has been ended is in it until it is gone altogether.
  const Deadline deadline = Deadline::after_ms(kLeavingMs);
  while (true) {
    std::erase_if(tops, [&path](const std::string& top) { return remove_in(top, path); });
    if (tops.empty() || deadline.has_passed()) return;
    ::poll(nullptr, 0, kLookMs);
  }
}

bool has_cgroup(const std::string& path) {
  const std::vector<std::string> tops = hierarchies();
  return std::any_of(tops.begin(), tops.end(),
                     [&](const std::string& top) { return ::access((top + path).c_str(), F_OK) == 0; });
}

std::set<std::string> cgroups_in(const std::string& path) {
  std::set<std::string> names;
  for (const std::string& top : hierarchies()) {
    DIR* listing = ::opendir((top + path).c_str());
    if (listing == nullptr) continue;
    while (const dirent* entry = ::readdir(listing)) {
      if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.insert(entry->d_name);
    }
    ::closedir(listing);
  }
  return names;
}

void remove_cgroup_tree(const std::string& path) {
  for (const std::string& top : hierarchies()) remove_groups(top + path);
}

void remove_empty_cgroup(const std::string& path) {
  if (is_scope(parent_of(path))) return;
  for (const std::string& top : hierarchies()) remove_in(top, path);
}

}  // namespace pouch::sys
