#include "core/spec/oci_spec.h"

#include <algorithm>
#include <array>

#include "core/base/text.h"
#include "core/spec/capabilities.h"
#include "core/spec/process.h"
#include "core/spec/resources.h"
#include "core/spec/seccomp.h"
#include "core/spec/security.h"

namespace pouch::spec {
namespace {

constexpr int64_t kDefaultShmSize = 64 * 1024 * 1024;

// What a container must not see, and what it must not change (Docker's lists).
constexpr std::array<const char*, 12> kMaskedPaths = {
    "/proc/asound",      "/proc/acpi",          "/proc/interrupts", "/proc/kcore",
    "/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap"};
constexpr std::array<const char*, 5> kReadonlyPaths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                                       "/proc/sysrq-trigger"};

struct OciMount {
  std::string destination;
  std::string type;
  std::string source;
  std::vector<std::string> options;
};

bool is_host(const std::optional<std::string>& mode) {
  return mode.value_or("") == "host";
}

std::vector<OciMount> system_mounts(const SpecInput& input, bool privileged) {
  const std::string sys_mode = privileged ? "rw" : "ro";
  const int64_t shm = input.host.shm_size.value_or(0) > 0 ? *input.host.shm_size : kDefaultShmSize;
  std::vector<OciMount> mounts = {
      {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", sys_mode}},
      {"/sys/fs/cgroup", "cgroup", "cgroup", {sys_mode, "nosuid", "noexec", "nodev"}},
  };
  if (is_host(input.host.ipc_mode)) {
    mounts.push_back({"/dev/mqueue", "bind", "/dev/mqueue", {"rbind", "nosuid", "noexec", "nodev"}});
    mounts.push_back({"/dev/shm", "bind", "/dev/shm", {"rbind", "nosuid", "noexec", "nodev"}});
  } else {
    mounts.push_back({"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}});
    if (input.host.ipc_mode.value_or("") != "none") {
      mounts.push_back({"/dev/shm",
                        "tmpfs",
                        "shm",
                        {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(shm)}});
    }
  }
  return mounts;
}

OciMount bind_json(const BindMount& bind) {
  OciMount out{bind.destination, "bind", bind.source, {bind.recursive ? "rbind" : "bind"}};
  const char* const read_only = bind.recursive_read_only ? "rro" : "ro";
  out.options.emplace_back(bind.read_only ? read_only : "rw");
  out.options.push_back(bind.propagation.empty() ? "rprivate" : bind.propagation);
  return out;
}

Json mounts_json(const SpecInput& input, bool privileged) {
  std::vector<OciMount> mounts = system_mounts(input, privileged);
  std::vector<OciMount> own;
  for (const BindMount& bind : input.engine_files) own.push_back(bind_json(bind));
  for (const BindMount& bind : input.mounts.binds) own.push_back(bind_json(bind));
  for (const TmpfsMount& tmpfs : input.mounts.tmpfs) {
    OciMount mount{tmpfs.destination, "tmpfs", "tmpfs", tmpfs.options};
    if (tmpfs.read_only) mount.options.emplace_back("ro");
    own.push_back(std::move(mount));
  }
  // A mount of the user's takes the place of ours at the same path; parents come before what is below them.
  const auto taken = [&](const OciMount& mount) {
    return std::any_of(own.begin(), own.end(),
                       [&](const OciMount& o) { return o.destination == mount.destination; });
  };
  std::erase_if(mounts, taken);
  std::stable_sort(own.begin(), own.end(), [](const OciMount& a, const OciMount& b) {
    return std::count(a.destination.begin(), a.destination.end(), '/') <
           std::count(b.destination.begin(), b.destination.end(), '/');
  });
  mounts.insert(mounts.end(), own.begin(), own.end());
  Json out = json_array();
  for (const OciMount& mount : mounts) {
    Json row = json_object();
    row["destination"] = mount.destination;
    row["type"] = mount.type;
    row["source"] = mount.source;
    row["options"] = json_array();
    for (const std::string& option : mount.options) row["options"].append(option);
    out.append(std::move(row));
  }
  return out;
}

Json namespace_json(const char* type, const std::string& path = {}) {
  Json out = json_object();
  out["type"] = type;
  if (!path.empty()) out["path"] = path;
  return out;
}

Json namespaces_json(const SpecInput& input, const HostFacts& facts, bool privileged) {
  Json out = json_array();
  out.append(namespace_json("mount"));
  if (!is_host(input.host.pid_mode)) out.append(namespace_json("pid"));
  if (!is_host(input.host.ipc_mode)) out.append(namespace_json("ipc"));
  if (!is_host(input.host.uts_mode)) out.append(namespace_json("uts"));
  if (!input.host_network) out.append(namespace_json("network", input.netns_path));
  std::string cgroup = input.host.cgroupns_mode.value_or("");
  if (cgroup.empty()) cgroup = default_cgroupns(facts.cgroup_v2, privileged);
  if (cgroup == "private") out.append(namespace_json("cgroup"));
  return out;
}

using Paths = std::vector<std::string>;

Json paths_json(const Paths& paths) {
  Json out = json_array();
  for (const std::string& path : paths) out.append(path);
  return out;
}

std::string propagation_of_root(const MountPlan& plan) {
  std::string out;
  for (const BindMount& bind : plan.binds) {
    if (bind.propagation.ends_with("shared")) return "shared";
    if (bind.propagation.ends_with("slave")) out = "rslave";
  }
  return out;
}

Result<Json> linux_json(const SpecInput& input, const HostFacts& facts, const SecurityOptions& security,
                        const std::vector<std::string>& capabilities, bool privileged,
                        std::vector<std::string>& warnings) {
  Json out = json_object();
  POUCH_ASSIGN_OR_RETURN(Json resources, build_resources(input.host, facts));
  POUCH_ASSIGN_OR_RETURN(Devices devices, build_devices(input.host, privileged, facts));
  resources["devices"] = std::move(devices.rules);
  out["resources"] = std::move(resources);
  if (!devices.nodes.empty()) out["devices"] = std::move(devices.nodes);
  out["cgroupsPath"] = input.cgroups_path;
  out["namespaces"] = namespaces_json(input, facts, privileged);
  // As Docker: who is not root there may ping and listen on low ports; the network is the container's own.
  if (!input.host_network) {
    out["sysctl"]["net.ipv4.ip_unprivileged_port_start"] = "0";
    out["sysctl"]["net.ipv4.ping_group_range"] = "0 2147483647";
  }
  for (const auto& [key, value] : input.host.sysctls.value_or(std::map<std::string, std::string>{})) {
    out["sysctl"][key] = value;
  }
  const bool bare = privileged || security.systempaths_unconfined;
  out["maskedPaths"] = paths_json(input.host.masked_paths.value_or(bare ? Paths{} : default_masked_paths()));
  out["readonlyPaths"] =
      paths_json(input.host.readonly_paths.value_or(bare ? Paths{} : default_readonly_paths()));
  if (const std::string mode = propagation_of_root(input.mounts); !mode.empty())
    out["rootfsPropagation"] = mode;
  if (security.seccomp_profile) {
    if (!facts.seccomp)
      return invalid_argument("HostConfig.SecurityOpt: seccomp is not available in this kernel");
    out["seccomp"] = *security.seccomp_profile;
  } else if (!privileged && !security.seccomp_unconfined) {
    if (facts.seccomp) {
      out["seccomp"] = default_seccomp(capabilities);
    } else {
      warnings.emplace_back("Your kernel has no seccomp: system calls are not filtered.");
    }
  }
  return out;
}

bool is_plain(const std::string& text) {
  return quote(text) == '"' + text + '"';
}

Status validate_modes(const api::HostConfig& host) {
  const std::string pid = host.pid_mode.value_or("");
  if (pid.starts_with("container:"))
    return not_implemented("HostConfig.PidMode: " + quote(pid) + " is not supported");
  if (!pid.empty() && pid != "host") return invalid_argument("invalid PID mode: " + quote(pid));
  const std::string ipc = host.ipc_mode.value_or("");
  if (ipc.starts_with("container:")) {
    return not_implemented("HostConfig.IpcMode: " + quote(ipc) + " is not supported");
  }
  // Nobody can share another container's yet, so that shareable is private.
  if (!ipc.empty() && ipc != "host" && ipc != "private" && ipc != "none" && ipc != "shareable") {
    return invalid_argument("invalid IPC mode: " + (is_plain(ipc) ? ipc : quote(ipc)));
  }
  const std::string uts = host.uts_mode.value_or("");
  if (!uts.empty() && uts != "host") return invalid_argument("invalid UTS mode: " + quote(uts));
  const std::string cgroup = host.cgroupns_mode.value_or("");
  if (!cgroup.empty() && cgroup != "host" && cgroup != "private") {
    return invalid_argument("invalid cgroup namespace mode: " + quote(cgroup));
  }
  if (!host.userns_mode.value_or("").empty() && *host.userns_mode != "host") {
    return not_implemented("HostConfig.UsernsMode: " + quote(*host.userns_mode) + " is not supported");
  }
  if (!host.cgroup.value_or("").empty()) return not_implemented("HostConfig.Cgroup is not supported");
  const std::string isolation = host.isolation.value_or("");
  if (!isolation.empty() && isolation != "default") {
    return invalid_argument("invalid isolation " + quote(isolation) + " on Linux");
  }
  if (host.init.value_or(false)) return not_implemented("HostConfig.Init is not supported");
  if (host.device_requests && !host.device_requests->empty()) {
    return not_implemented("HostConfig.DeviceRequests is not supported");
  }
  if (host.storage_opt && !host.storage_opt->empty())
    return not_implemented("HostConfig.StorageOpt is not supported");
  return {};
}

}  // namespace

std::vector<std::string> default_masked_paths() {
  return {kMaskedPaths.begin(), kMaskedPaths.end()};
}

std::vector<std::string> default_readonly_paths() {
  return {kReadonlyPaths.begin(), kReadonlyPaths.end()};
}

std::string default_cgroupns(bool cgroup_v2, bool privileged) {
  return cgroup_v2 && !privileged ? "private" : "host";
}

Status validate(const api::ContainerConfig& config, const api::HostConfig& host) {
  POUCH_RETURN_IF_ERROR(validate_modes(host));
  POUCH_RETURN_IF_ERROR(validate_resources(host));
  POUCH_RETURN_IF_ERROR(parse_security(host).status());
  POUCH_RETURN_IF_ERROR(plan_mounts(host).status());
  const auto all = all_capabilities();
  const std::vector<std::string> names(all.begin(), all.end());
  POUCH_RETURN_IF_ERROR(resolve_capabilities(host, false, names).status());
  const int64_t score = host.oom_score_adj.value_or(0);
  if (score < -1000 || score > 1000) {
    return invalid_argument("Invalid value " + std::to_string(score) +
                            ", range for oom score adj is [-1000, 1000]");
  }
  if (host.shm_size.value_or(0) < 0) return invalid_argument("SHM size can not be less than 0");
  const std::string cwd = config.working_dir.value_or("");
  if (!cwd.empty() && cwd[0] != '/') {
    return invalid_argument("the working directory '" + cwd +
                            "' is invalid, it needs to be an absolute path");
  }
  return {};
}

Result<SpecOutput> build_oci_spec(const SpecInput& input, const HostFacts& facts) {
  SpecOutput out;
  const bool privileged = input.host.privileged.value_or(false);
  POUCH_ASSIGN_OR_RETURN(const SecurityOptions security, parse_security(input.host));
  ProcessInput process;
  process.args = input.args;
  process.tty = input.config.tty.value_or(false);
  process.env =
      build_environment(input.hostname, process.tty, input.config.env.value_or(std::vector<std::string>{}));
  process.cwd = input.config.working_dir.value_or("");
  process.user = input.user;
  process.console_size = input.host.console_size.value_or(std::vector<uint64_t>{});
  process.privileged = privileged;
  process.no_new_privileges = security.no_new_privileges;
  std::vector<std::string> capabilities;
  Json spec = json_object();
  spec["ociVersion"] = "1.0.2";
  POUCH_ASSIGN_OR_RETURN(spec["process"],
                         build_process(process, input.host, facts, out.warnings, capabilities));
  spec["root"]["path"] = "rootfs";
  spec["root"]["readonly"] = input.host.readonly_rootfs.value_or(false);
  if (!is_host(input.host.uts_mode)) {
    spec["hostname"] = input.hostname;
    const std::string domain = input.config.domainname.value_or("");
    if (!domain.empty()) spec["linux"]["sysctl"]["kernel.domainname"] = domain;
  }
  spec["mounts"] = mounts_json(input, privileged);
  const Json sysctls = spec["linux"]["sysctl"];
  POUCH_ASSIGN_OR_RETURN(spec["linux"],
                         linux_json(input, facts, security, capabilities, privileged, out.warnings));
  for (const std::string& key : sysctls.isObject() ? sysctls.getMemberNames() : std::vector<std::string>{}) {
    spec["linux"]["sysctl"][key] = sysctls[key];
  }
  for (const auto& [key, value] : input.host.annotations.value_or(std::map<std::string, std::string>{})) {
    spec["annotations"][key] = value;
  }
  out.json = write_json(spec);
  return out;
}

Result<SpecOutput> build_exec_process(const SpecInput& input, const api::ExecConfig& exec, const User& user,
                                      const HostFacts& facts) {
  SpecOutput out;
  POUCH_ASSIGN_OR_RETURN(const SecurityOptions security, parse_security(input.host));
  ProcessInput process;
  process.args = exec.cmd.value_or(std::vector<std::string>{});
  process.tty = exec.tty.value_or(false);
  std::vector<std::string> env = input.config.env.value_or(std::vector<std::string>{});
  for (const std::string& entry : exec.env.value_or(std::vector<std::string>{})) env.push_back(entry);
  process.env = build_environment(input.hostname, process.tty, env);
  process.cwd =
      exec.working_dir.value_or("").empty() ? input.config.working_dir.value_or("") : *exec.working_dir;
  process.user = user;
  process.console_size = exec.console_size.value_or(std::vector<uint64_t>{});
  process.privileged = exec.privileged.value_or(false) || input.host.privileged.value_or(false);
  process.no_new_privileges = security.no_new_privileges;
  std::vector<std::string> capabilities;
  POUCH_ASSIGN_OR_RETURN(const Json json,
                         build_process(process, input.host, facts, out.warnings, capabilities));
  out.json = write_json(json);
  return out;
}

}  // namespace pouch::spec
