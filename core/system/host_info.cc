#include "core/system/host_info.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <linux/seccomp.h>
#include <cerrno>

#include "core/base/text.h"
#include "core/io/keeper_client.h"
#include "core/sys/file.h"
#include "core/sys/host_facts.h"

namespace pouch {
namespace {

constexpr int64_t kKeeperPatienceMs = 200;

bool forwards_ipv4() {
  const auto text = sys::read_file("/proc/sys/net/ipv4/ip_forward");
  return text.is_ok() && trim(*text) == "1";
}

std::vector<std::string> security_options(const sys::CgroupFacts& cgroups) {
  std::vector<std::string> out;
  // EFAULT (no program given) says that filters are known, EINVAL that they are not.
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr, 0, 0) == -1 && errno == EFAULT) {
    out.emplace_back("name=seccomp,profile=builtin");
  }
  // As Moby: only where containers get one of their own by default.
  if (cgroups.mode == sys::CgroupMode::kV2) out.emplace_back("name=cgroupns");
  return out;
}

std::vector<std::string> fill_cgroups(const sys::CgroupFacts& facts, api::SystemInfo& out) {
  const bool is_v1 = facts.mode == sys::CgroupMode::kV1 || facts.mode == sys::CgroupMode::kHybrid;
  out.cgroup_driver = facts.mode == sys::CgroupMode::kNone ? "none" : "cgroupfs";
  out.cgroup_version = facts.version_text();
  out.memory_limit = facts.has_memory;
  out.swap_limit = facts.has_swap;
  out.cpu_cfs_period = out.cpu_cfs_quota = out.cpu_shares = facts.has_cpu;
  out.cpu_set = facts.has_cpuset;
  out.pids_limit = facts.has_pids;
  out.oom_kill_disable = is_v1 && facts.has_memory;  // gone in version 2
  std::vector<std::string> warnings;
  const auto warn = [&warnings](bool has, const char* what) {
    if (!has) warnings.push_back(std::string("WARNING: No ") + what + " support");
  };
  warn(facts.has_memory, "memory limit");
  warn(facts.has_swap, "swap limit");
  warn(facts.has_cpu, "cpu cfs quota");
  warn(facts.has_cpu, "cpu cfs period");
  warn(facts.has_cpu, "cpu shares");
  warn(facts.has_cpuset, "cpuset");
  warn(facts.has_pids, "pids limit");
  return warnings;
}

}  // namespace

std::vector<std::string> fill_host(api::SystemInfo& out) {
  const sys::HostFacts host = sys::read_host_facts();
  out.kernel_version = host.kernel;
  out.architecture = host.architecture;
  out.name = host.hostname;
  out.operating_system = host.os_name;
  out.os_version = host.os_version;
  out.ncpu = host.cpus;
  out.mem_total = host.memory_bytes;
  out.ipv4_forwarding = forwards_ipv4();
  const auto read = sys::read_cgroup_facts();
  const sys::CgroupFacts cgroups = read.is_ok() ? *read : sys::CgroupFacts();
  out.security_options = security_options(cgroups);
  std::vector<std::string> warnings = fill_cgroups(cgroups, out);
  if (!out.ipv4_forwarding) warnings.emplace_back("WARNING: IPv4 forwarding is disabled");
  return warnings;
}

std::optional<KeeperFacts> running_keeper(const EngineContext& context) {
  const Deadline deadline = Deadline::after_ms(kKeeperPatienceMs);
  const auto client = io::KeeperClient::connect(context.run_dir(), deadline);
  if (!client.is_ok()) return std::nullopt;
  auto status = (*client)->status(deadline);
  if (!status.is_ok()) return std::nullopt;
  return KeeperFacts{status->version, status->keeper_pid};
}

}  // namespace pouch
