#include "core/sys/project_quota.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/base/unique_fd.h"

namespace pouch::sys {
namespace {

// XFS's own commands, which the kernel's quota layer translates for ext4.
constexpr uint64_t kBlock = 512;
constexpr uint32_t kFirst = uint32_t{1} << 30;
constexpr uint32_t kLast = (uint32_t{1} << 31) - 1;
constexpr int kTries = 64;
constexpr size_t kIdBytes = 4;
constexpr int kHex = 16;

int project_quotactl(int folder, unsigned command, uint32_t project, void* data) {
  const auto whole = static_cast<unsigned>(QCMD(command, PRJQUOTA));
  return static_cast<int>(::syscall(SYS_quotactl_fd, static_cast<unsigned>(folder), whole, project, data));
}

std::string named(uint32_t project) {
  return "project " + std::to_string(project);
}

// XFS has no record of a project that it never saw.
bool is_unknown_project(int error) {
  return error == ENOENT;
}

Status set_project(int file, uint32_t project, bool is_folder) {
  fsxattr attributes{};
  if (::ioctl(file, FS_IOC_FSGETXATTR, &attributes) != 0)
    return errno_status(errno, "read the project of a file");
  attributes.fsx_projid = project;
  if (is_folder) attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (::ioctl(file, FS_IOC_FSSETXATTR, &attributes) != 0)
    return errno_status(errno, "give a file to " + named(project));
  return {};
}

Status give_entry(int folder, const char* name, uint32_t project) {
  if (std::string_view(name) == "." || std::string_view(name) == "..") return {};
  struct stat info {};
  if (::fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return errno_status(errno, "look at a file");
  const bool is_folder = S_ISDIR(info.st_mode);
  if (!is_folder && !S_ISREG(info.st_mode)) return {};
  const UniqueFd file(::openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.is_valid()) return errno_status(errno, "open a file");
  return is_folder ? give_to_project(file.get(), project) : set_project(file.get(), project, false);
}

}  // namespace

bool has_project_quotas(int folder) {
  fs_quota_stat state{};
  if (project_quotactl(folder, Q_XGETQSTAT, 0, &state) != 0) return false;
  constexpr unsigned kBoth = FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD;
  // The state is for all to see, a project's limit only for who may change it.
  return (state.qs_flags & kBoth) == kBoth && project_use(folder, kFirst).is_ok();
}

Result<uint32_t> project_of(int folder) {
  fsxattr attributes{};
  if (::ioctl(folder, FS_IOC_FSGETXATTR, &attributes) != 0)
    return errno_status(errno, "read the project of a folder");
  return (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0 ? attributes.fsx_projid : 0;
}

bool is_chosen_project(uint32_t project) {
  return project >= kFirst && project <= kLast;
}

Result<uint32_t> choose_project(int folder) {
  for (int i = 0; i < kTries; ++i) {
    const auto random = static_cast<uint32_t>(std::stoul(random_hex(kIdBytes), nullptr, kHex));
    const uint32_t project = kFirst + random % (kLast - kFirst + 1);
    POUCH_ASSIGN_OR_RETURN(const ProjectUse use, project_use(folder, project));
    if (use.limit == 0 && use.bytes == 0 && use.files == 0) return project;
  }
  return Status(Code::kResourceExhausted, "choose a project: all that were tried are in use");
}

Status give_to_project(int folder, uint32_t project) {
  UniqueFd again(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(again.is_valid() ? ::fdopendir(again.get()) : nullptr,
                                                    ::closedir);
  if (!entries) return errno_status(errno, "read a folder");
  again.release();
  while (const dirent* entry = ::readdir(entries.get())) {
    POUCH_RETURN_IF_ERROR(give_entry(folder, entry->d_name, project));
  }
  return set_project(folder, project, true);
}

Status limit_project(int folder, uint32_t project, uint64_t bytes) {
  fs_disk_quota limits{};
  limits.d_version = FS_DQUOT_VERSION;
  limits.d_flags = FS_PROJ_QUOTA;
  limits.d_id = project;
  limits.d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT;
  limits.d_blk_hardlimit = limits.d_blk_softlimit = bytes / kBlock + (bytes % kBlock != 0 ? 1 : 0);
  return with_faults("sys.limit_project", [&]() -> Status {
    if (project_quotactl(folder, Q_XSETQLIM, project, &limits) == 0) return {};
    return errno_status(errno, "limit " + named(project) + " to " + std::to_string(bytes) + " bytes");
  });
}

Result<ProjectUse> project_use(int folder, uint32_t project) {
  fs_disk_quota found{};
  if (project_quotactl(folder, Q_XGETQUOTA, project, &found) != 0) {
    if (is_unknown_project(errno)) return ProjectUse{};
    return errno_status(errno, "look at the quota of " + named(project));
  }
  return ProjectUse{found.d_blk_hardlimit * kBlock, found.d_bcount * kBlock, found.d_icount};
}

}  // namespace pouch::sys
