#include "core/sys/mount_sharing.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <thread>

#include "core/base/executor.h"
#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/file.h"
#include "core/sys/host_facts.h"
#include "core/sys/mounts.h"

namespace pouch::sys {
namespace {

constexpr const char* kCgroups = "/sys/fs/cgroup";
constexpr const char* kCgroupFlags = "nosuid,nodev,noexec";

std::string namespace_of(int pid) {
  return "/proc/" + std::to_string(pid) + "/ns/mnt";
}

// On a thread of its own, which ends there: nobody else sees where it has gone.
Status in_mount_namespace(const UniqueFd& mounts, const std::function<Status()>& work) {
  Status done;
  std::thread worker = start_thread([&] {
    const bool is_there = ::unshare(CLONE_FS) == 0 && ::setns(mounts.get(), CLONE_NEWNS) == 0;
    done = is_there ? work() : errno_status(errno, "enter a mount namespace");
  });
  worker.join();
  return done;
}

struct Folder {
  dev_t device = 0;
  ino_t inode = 0;
  std::string peers;  ///< "shared:12": the mounts that get what is mounted on one of them; "" is none
};

// As the calling thread sees it.
Result<Folder> look_at(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return errno_status(errno, "look at " + quote(path));
  std::error_code error;
  const std::string real = std::filesystem::canonical(path, error).string();
  if (error) return errno_status(error.value(), "look at " + quote(path));
  POUCH_ASSIGN_OR_RETURN(const MountEntry mount, mount_of(real));
  Folder folder{facts.st_dev, facts.st_ino, ""};
  for (const std::string& word : split(mount.propagation, ' ')) {
    if (word.starts_with("shared:")) folder.peers = word;
  }
  return folder;
}

// There: the folder as a mount that is a peer of the one it is on; nothing where we are its peers already.
Result<UniqueFd> take_peer(const std::string& who, const std::string& path, const Folder& mine) {
  auto theirs = look_at(path);
  const bool is_same = theirs.is_ok() && theirs->device == mine.device && theirs->inode == mine.inode;
  if (!is_same) {
    return Status(Code::kPermissionDenied, who + " is in another mnt namespace than this process, where " +
                                               quote(path) + " is another folder; use the root from there");
  }
  if (theirs->peers.empty()) {
    POUCH_RETURN_IF_ERROR(mount_at({"", path, "bind,shared"}, path));
    POUCH_ASSIGN_OR_RETURN(theirs, look_at(path));
  }
  if (theirs->peers == mine.peers) return UniqueFd();
  UniqueFd tree(::open_tree(AT_FDCWD, path.c_str(),
                            static_cast<unsigned>(OPEN_TREE_CLONE) | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree.is_valid()) return errno_status(errno, "share the mounts of " + quote(path));
  return tree;
}

Status share_folder(const std::string& who, const UniqueFd& mounts, const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(const Folder mine, look_at(path));
  UniqueFd tree;
  POUCH_RETURN_IF_ERROR(in_mount_namespace(mounts, [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(tree, take_peer(who, path, mine));
    return {};
  }));
  if (!tree.is_valid()) return {};
  return with_faults("sys.mount", [&]() -> Status {
    if (::move_mount(tree.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0) return {};
    return errno_status(errno, "mount the shared " + quote(path));
  });
}

// "4:cpu,cpuacct:/" and "1:name=systemd:/" of version 1, "0::/" of version 2 (cgroups(7)).
Status mount_hierarchy(const std::string& line, bool is_alone) {
  const std::vector<std::string> fields = split(line, ':');
  if (fields.size() < 3) return {};
  const bool is_v2 = fields[1].empty();
  if (is_v2 && is_alone) return mount_at({"cgroup2", "cgroup2", kCgroupFlags}, kCgroups);
  const std::string name = fields[1].starts_with("name=") ? fields[1].substr(5) : fields[1];
  const std::string place = std::string(kCgroups) + "/" + (is_v2 ? "unified" : name);
  if (::mkdir(place.c_str(), 0755) != 0 && errno != EEXIST)
    return errno_status(errno, "make " + quote(place));
  if (is_v2) return mount_at({"cgroup2", "cgroup2", kCgroupFlags}, place);
  return mount_at({"cgroup", "cgroup", std::string(kCgroupFlags) + "," + fields[1]}, place);
}

}  // namespace

bool has_other_mounts(int pid) {
  struct stat own {};
  struct stat other {};
  return pid > 0 && ::stat("/proc/thread-self/ns/mnt", &own) == 0 &&
         ::stat(namespace_of(pid).c_str(), &other) == 0 && own.st_ino != other.st_ino;
}

Status share_mounts(int pid, const std::string& who, const std::vector<std::string>& folders) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd mounts, open_file(namespace_of(pid), O_RDONLY));
  const std::string named = who + " (process " + std::to_string(pid) + ")";
  for (const std::string& folder : folders) POUCH_RETURN_IF_ERROR(share_folder(named, mounts, folder));
  return {};
}

bool are_cgroups_hidden() {
  const auto facts = read_cgroup_facts();
  struct statfs place {};
  const bool are_away = facts.is_ok() && facts->mode == CgroupMode::kNone &&
                        ::statfs(kCgroups, &place) == 0 && place.f_type == SYSFS_MAGIC;
  // Who may not look at process 1 is not where it is.
  struct stat first {};
  return are_away && (::stat(namespace_of(1).c_str(), &first) != 0 || has_other_mounts(1));
}

Status mount_hidden_cgroups() {
  if (!are_cgroups_hidden()) return {};
  POUCH_ASSIGN_OR_RETURN(const std::string text, read_file("/proc/self/cgroup"));
  const std::vector<std::string> lines = split(trim(text), '\n');
  const bool is_alone = lines.size() == 1;
  if (!is_alone) {
    POUCH_RETURN_IF_ERROR(mount_at({"tmpfs", "cgroups", std::string(kCgroupFlags) + ",mode=755"}, kCgroups));
  }
  for (const std::string& line : lines) POUCH_RETURN_IF_ERROR(mount_hierarchy(line, is_alone));
  return {};
}

}  // namespace pouch::sys
