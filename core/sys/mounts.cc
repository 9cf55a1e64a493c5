#include "core/sys/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "core/base/fault.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/file.h"

namespace pouch::sys {
namespace {

// Space, tab, newline and backslash stand as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto is_octal = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && is_octal(i + 1) && is_octal(i + 2) && is_octal(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

template <class T>
bool to_number(std::string_view text, T& value) {
  const auto number = whole_number<T>(text);
  if (number) value = *number;
  return number.has_value();
}

bool parse_line(const std::vector<std::string>& fields, MountEntry& entry) {
  const auto dash = std::find(fields.begin() + std::min<ptrdiff_t>(6, std::ssize(fields)), fields.end(), "-");
  if (fields.size() < 10 || fields.end() - dash < 4) return false;
  const std::vector<std::string> device = split(fields[2], ':');
  if (device.size() != 2 || !to_number(fields[0], entry.id) || !to_number(fields[1], entry.parent_id) ||
      !to_number(device[0], entry.major) || !to_number(device[1], entry.minor)) {
    return false;
  }
  entry.root = unescape(fields[3]);
  entry.mount_point = unescape(fields[4]);
  entry.options = fields[5];
  entry.propagation = join({fields.begin() + 6, dash}, " ");
  entry.fs_type = dash[1];
  entry.source = unescape(dash[2]);
  entry.super_options = dash[3];
  return true;
}

bool is_at_or_below(const std::string& mount_point, const std::string& path) {
  if (path == "/" || mount_point == path) return true;
  return mount_point.size() > path.size() && mount_point.starts_with(path) && mount_point[path.size()] == '/';
}

}  // namespace

Result<std::vector<MountEntry>> parse_mountinfo(std::string_view text) {
  std::vector<MountEntry> entries;
  for (const std::string& line : split(text, '\n')) {
    if (line.empty()) continue;
    MountEntry entry;
    if (!parse_line(split(line, ' '), entry))
      return Status(Code::kDataLoss, "parse mount table line " + quote(line));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<std::vector<MountEntry>> read_mountinfo() {
  POUCH_ASSIGN_OR_RETURN(const std::string text, read_file("/proc/thread-self/mountinfo"));
  return parse_mountinfo(text);
}

Result<bool> is_mount_point(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(const std::vector<MountEntry> entries, read_mountinfo());
  return std::any_of(entries.begin(), entries.end(),
                     [&](const MountEntry& entry) { return entry.mount_point == path; });
}

Result<MountEntry> mount_of(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(std::vector<MountEntry> entries, read_mountinfo());
  const MountEntry* best = nullptr;
  for (const MountEntry& entry : entries) {
    // The last of equals is on top.
    const bool covers = is_at_or_below(path, entry.mount_point);
    if (covers && (best == nullptr || entry.mount_point.size() >= best->mount_point.size())) best = &entry;
  }
  if (best == nullptr) return not_found("find the mount of " + quote(path));
  return *best;
}

namespace {

// Zero, or errno.
int unmount(const char* target) {
  if (const int fault = fault_errno("sys.unmount", "before"); fault != 0) return fault;
  if (::umount2(target, UMOUNT_NOFOLLOW) != 0 &&
      (errno != EBUSY || ::umount2(target, UMOUNT_NOFOLLOW | MNT_DETACH) != 0)) {
    return errno;
  }
  fault_kill("sys.unmount", "after");
  return 0;
}

}  // namespace

Status unmount_tree(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(std::vector<MountEntry> entries, read_mountinfo());
  std::erase_if(entries, [&](const MountEntry& entry) { return !is_at_or_below(entry.mount_point, path); });
  // The table is in order of mounting, so the reverse takes what is on top first.
  std::reverse(entries.begin(), entries.end());
  Status first_failure;
  for (const MountEntry& entry : entries) {
    const int error = unmount(entry.mount_point.c_str());
    const bool is_gone = error == EINVAL || error == ENOENT;
    if (error != 0 && !is_gone && first_failure.is_ok())
      first_failure = errno_status(error, "unmount " + quote(entry.mount_point));
  }
  return first_failure;
}

namespace {

struct MountWord {
  std::string_view word;
  unsigned long set;
  unsigned long clear;
};

// mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS".
constexpr std::array kMountWords = {MountWord{"defaults", 0, 0},
                                    MountWord{"ro", MS_RDONLY, 0},
                                    MountWord{"rw", 0, MS_RDONLY},
                                    MountWord{"suid", 0, MS_NOSUID},
                                    MountWord{"nosuid", MS_NOSUID, 0},
                                    MountWord{"dev", 0, MS_NODEV},
                                    MountWord{"nodev", MS_NODEV, 0},
                                    MountWord{"exec", 0, MS_NOEXEC},
                                    MountWord{"noexec", MS_NOEXEC, 0},
                                    MountWord{"sync", MS_SYNCHRONOUS, 0},
                                    MountWord{"async", 0, MS_SYNCHRONOUS},
                                    MountWord{"dirsync", MS_DIRSYNC, 0},
                                    MountWord{"mand", MS_MANDLOCK, 0},
                                    MountWord{"nomand", 0, MS_MANDLOCK},
                                    MountWord{"atime", 0, MS_NOATIME},
                                    MountWord{"noatime", MS_NOATIME, 0},
                                    MountWord{"diratime", 0, MS_NODIRATIME},
                                    MountWord{"nodiratime", MS_NODIRATIME, 0},
                                    MountWord{"relatime", MS_RELATIME, 0},
                                    MountWord{"norelatime", 0, MS_RELATIME},
                                    MountWord{"strictatime", MS_STRICTATIME, 0},
                                    MountWord{"nostrictatime", 0, MS_STRICTATIME},
                                    MountWord{"bind", MS_BIND, 0},
                                    MountWord{"rbind", MS_BIND | MS_REC, 0}};
constexpr std::array kPropagationWords = {
    MountWord{"private", MS_PRIVATE, 0},      MountWord{"rprivate", MS_PRIVATE | MS_REC, 0},
    MountWord{"slave", MS_SLAVE, 0},          MountWord{"rslave", MS_SLAVE | MS_REC, 0},
    MountWord{"shared", MS_SHARED, 0},        MountWord{"rshared", MS_SHARED | MS_REC, 0},
    MountWord{"unbindable", MS_UNBINDABLE, 0}};

struct MountFlags {
  unsigned long flags = 0;
  unsigned long propagation = 0;
  std::string data;
};

MountFlags parse_options(const std::string& options) {
  MountFlags out;
  for (const std::string& word : split(options, ',')) {
    const auto is_word = [&word](const MountWord& known) { return known.word == word; };
    const auto* const flag = std::find_if(kMountWords.begin(), kMountWords.end(), is_word);
    const auto* const kind = std::find_if(kPropagationWords.begin(), kPropagationWords.end(), is_word);
    if (flag != kMountWords.end()) {
      out.flags = (out.flags | flag->set) & ~flag->clear;
    } else if (kind != kPropagationWords.end()) {
      out.propagation = kind->set;
    } else if (!word.empty()) {
      out.data += (out.data.empty() ? "" : ",") + word;
    }
  }
  return out;
}

}  // namespace

Status mount_at(const MountOrder& order, const std::string& target) {
  const std::string what = "mount " + quote(order.source) + " at " + quote(target);
  const MountFlags parsed = parse_options(order.options);
  if (const int fault = fault_errno("sys.mount", "before"); fault != 0) return errno_status(fault, what);
  if (::mount(order.source.c_str(), target.c_str(), order.type.c_str(), parsed.flags, parsed.data.c_str()) !=
      0)
    return errno_status(errno, what);
  // A bind takes flags only when it is mounted again.
  const unsigned long more = parsed.flags & ~static_cast<unsigned long>(MS_BIND | MS_REC);
  const bool has_more = (parsed.flags & MS_BIND) != 0 && more != 0;
  int error = 0;
  if (has_more && ::mount(nullptr, target.c_str(), nullptr, MS_REMOUNT | MS_BIND | more, nullptr) != 0)
    error = errno;
  if (error == 0 && parsed.propagation != 0 &&
      ::mount(nullptr, target.c_str(), nullptr, parsed.propagation, nullptr) != 0) {
    error = errno;
  }
  if (error != 0) {
    ::umount2(target.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH);
    return errno_status(error, what);
  }
  fault_kill("sys.mount", "after");
  return {};
}

Status bind_fd(int fd, const std::string& target) {
  const std::string what = "mount at " + quote(target);
  if (const int fault = fault_errno("sys.mount", "before"); fault != 0) return errno_status(fault, what);
  const UniqueFd tree(::open_tree(
      fd, "", static_cast<unsigned>(OPEN_TREE_CLONE) | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE));
  if (!tree.is_valid()) return errno_status(errno, what);
  if (::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return errno_status(errno, what);
  fault_kill("sys.mount", "after");
  return {};
}

}  // namespace pouch::sys
