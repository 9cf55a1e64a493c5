#include "core/store/file_system.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <array>
#include <cerrno>
#include <string>

#include "core/base/finding.h"
#include "core/base/text.h"

namespace pouch::store {
namespace {

struct Unsafe {
  unsigned long magic;  // f_type of statfs(2)
  const char* name;
};

// Network file systems: locks and shared mappings of several hosts. FUSE: mappings are not coherent by
// promise. Overlay: the first write copies the file up, so readers keep another file than writers.
constexpr unsigned long kCifsMagic = 0xFF534D42;  // linux/fs/smb/client: not in linux/magic.h
constexpr std::array<Unsafe, 7> kUnsafe{{{NFS_SUPER_MAGIC, "NFS"},
                                         {FUSE_SUPER_MAGIC, "FUSE"},
                                         {OVERLAYFS_SUPER_MAGIC, "overlay"},
                                         {SMB_SUPER_MAGIC, "SMB"},
                                         {SMB2_SUPER_MAGIC, "SMB"},
                                         {kCifsMagic, "SMB"},
                                         {V9FS_MAGIC, "9p"}}};

}  // namespace

Status check_file_system(int fd, const std::string& path) {
  struct statfs facts {};
  if (::fstatfs(fd, &facts) != 0) return errno_status(errno, "find the file system of " + quote(path));
  // f_type is signed on some architectures; the magics are 32 bits.
  const auto magic = static_cast<unsigned long>(facts.f_type) & 0xFFFFFFFFUL;
  for (const Unsafe& unsafe : kUnsafe) {
    if (magic != unsafe.magic) continue;
    return findings::unsafe_file_system(path, unsafe.name).status(Code::kInvalidArgument);
  }
  return {};
}

}  // namespace pouch::store
