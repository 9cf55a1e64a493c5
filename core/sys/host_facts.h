#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace pouch::sys {

enum class CgroupMode { kNone, kV1, kV2, kHybrid };  ///< kHybrid: v1 controllers with an empty v2 tree beside

struct CgroupFacts {
  CgroupMode mode = CgroupMode::kNone;
  std::string unified_dir;                             ///< where v2 is mounted; "" without
  std::map<std::string, std::string> controller_dirs;  ///< v1: "memory" → mount point
  bool has_memory = false;
  bool has_swap = false;  ///< the swap of a group can be limited
  bool has_cpu = false;
  bool has_cpuset = false;
  bool has_pids = false;
  bool has_blkio = false;
  bool has_freezer = false;
  /// "1" or "2" as Moby's info shows it.
  std::string version_text() const { return mode == CgroupMode::kV2 ? "2" : "1"; }
};

struct HostFacts {
  std::string kernel;        ///< uname release
  std::string architecture;  ///< uname machine: "x86_64"
  std::string hostname;
  std::string os_name;     ///< PRETTY_NAME of os-release, "Linux" without
  std::string os_version;  ///< VERSION_ID
  int cpus = 1;            ///< this process may use
  int64_t memory_bytes = 0;
  int64_t swap_bytes = 0;
};

Result<CgroupFacts> read_cgroup_facts();
/// The kernel has the hugetlb controller, in version 1, but it is not mounted. crun refuses such a host.
bool lacks_hugetlb_hierarchy();
HostFacts read_host_facts();
/// KEY=value lines with shell quotes undone, as /etc/os-release has.
std::map<std::string, std::string> parse_os_release(std::string_view text);
/// The value of "key:" in bytes; 0 when not there. `text` as /proc/meminfo has it.
int64_t meminfo_bytes(std::string_view text, std::string_view key);
/// "amd64" for "x86_64" and so on: the name images use.
std::string oci_architecture(std::string_view machine);

}  // namespace pouch::sys
