#include "core/container/host_facts.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/spec/capabilities.h"
#include "core/sys/file.h"
#include "core/sys/host_facts.h"

namespace pouch::container {
namespace {

constexpr std::pair<const char*, __rlimit_resource> kLimits[] = {{"RLIMIT_AS", RLIMIT_AS},
                                                                 {"RLIMIT_CORE", RLIMIT_CORE},
                                                                 {"RLIMIT_CPU", RLIMIT_CPU},
                                                                 {"RLIMIT_DATA", RLIMIT_DATA},
                                                                 {"RLIMIT_FSIZE", RLIMIT_FSIZE},
                                                                 {"RLIMIT_LOCKS", RLIMIT_LOCKS},
                                                                 {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                                                                 {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                                                                 {"RLIMIT_NICE", RLIMIT_NICE},
                                                                 {"RLIMIT_NOFILE", RLIMIT_NOFILE},
                                                                 {"RLIMIT_NPROC", RLIMIT_NPROC},
                                                                 {"RLIMIT_RSS", RLIMIT_RSS},
                                                                 {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                                                                 {"RLIMIT_RTTIME", RLIMIT_RTTIME},
                                                                 {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                                                                 {"RLIMIT_STACK", RLIMIT_STACK}};
constexpr int kMaxDeviceDepth = 8;

// The value of "name:" in /proc/self/status.
std::string status_field(const std::string& text, std::string_view name) {
  for (const std::string& line : split(text, '\n')) {
    if (line.starts_with(name)) return std::string(trim(std::string_view(line).substr(name.size())));
  }
  return {};
}

spec::DeviceNode node_of(const std::string& path, const struct stat& info) {
  spec::DeviceNode node;
  node.path = path;
  node.type = S_ISBLK(info.st_mode) ? 'b' : 'c';
  node.major = static_cast<int64_t>(major(info.st_rdev));
  node.minor = static_cast<int64_t>(minor(info.st_rdev));
  node.mode = info.st_mode & 07777U;
  node.uid = info.st_uid;
  node.gid = info.st_gid;
  return node;
}

Result<spec::DeviceNode> stat_device(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno_status(errno, "device " + quote(path));
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) {
    return invalid_argument("device " + quote(path) + ": not a device");
  }
  return node_of(path, info);
}

void collect_devices(const std::string& folder, int depth, std::vector<spec::DeviceNode>& out) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (!dir || depth > kMaxDeviceDepth) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    // Those that a container gets of its own.
    if (name == "." || name == ".." || name == "pts" || name == "shm" || name == "fd" || name == "mqueue" ||
        name == "console" || name.starts_with(".lxc") || name == ".udev") {
      continue;
    }
    const std::string path = folder + "/" + name;
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) collect_devices(path, depth + 1, out);
    if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) out.push_back(node_of(path, info));
  }
}

}  // namespace

spec::HostFacts read_spec_facts() {
  spec::HostFacts facts;
  const auto status = sys::read_file("/proc/self/status");
  const std::string text = status.is_ok() ? *status : std::string();
  const std::string mask_text = status_field(text, "CapBnd:");
  facts.capabilities = spec::capabilities_of_mask(leading_number<uint64_t>(mask_text, 0, 16));
  facts.seccomp = !status_field(text, "Seccomp:").empty();
  const bool may_raise = std::find(facts.capabilities.begin(), facts.capabilities.end(),
                                   "CAP_SYS_RESOURCE") != facts.capabilities.end();
  if (!may_raise) {
    for (const auto& [name, resource] : kLimits) {
      rlimit limit{};
      if (::getrlimit(resource, &limit) == 0 && limit.rlim_max != RLIM_INFINITY) {
        facts.rlimit_max[name] = limit.rlim_max;
      }
    }
    const auto score = sys::read_file("/proc/self/oom_score_adj");
    facts.oom_score_adj_min = score.is_ok() ? leading_number<int>(trim(*score)) : 0;
  }
  const auto cgroups = sys::read_cgroup_facts();
  facts.cgroup_v2 = cgroups.is_ok() && cgroups->mode == sys::CgroupMode::kV2;
  facts.stat_device = stat_device;
  facts.list_devices = [](const std::string& folder) {
    std::vector<spec::DeviceNode> found;
    collect_devices(folder, 0, found);
    return found;
  };
  return facts;
}

}  // namespace pouch::container
