#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/api/exec.gen.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/spec/mounts.h"
#include "core/spec/user.h"

// From a container's configuration to an OCI runtime spec, with Docker's defaults. Pure functions: what they
// need to know of the host comes in as HostFacts. Thread-safe.

namespace pouch::spec {

struct DeviceNode {
  std::string path;
  char type = 'c';  ///< 'c' or 'b'
  int64_t major = 0;
  int64_t minor = 0;
  uint32_t mode = 0;  ///< permission bits
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct HostFacts {
  bool cgroup_v2 = false;
  /// Names ("CAP_KILL") that this process may hand out: its bounding set.
  std::vector<std::string> capabilities;
  /// Hard limits by OCI name ("RLIMIT_NOFILE") above which ours cannot be raised; absent = no such bound.
  std::map<std::string, uint64_t> rlimit_max;
  /// Lowest oom_score_adj that may be set; -1000 with CAP_SYS_RESOURCE.
  int64_t oom_score_adj_min = -1000;
  bool seccomp = true;  ///< the kernel filters system calls
  /// stat(2) of a device; NotFound, or InvalidArgument when it is none.
  std::function<Result<DeviceNode>(const std::string& path)> stat_device;
  /// All devices below a folder (for `privileged` the whole of /dev).
  std::function<std::vector<DeviceNode>(const std::string& folder)> list_devices;
};

struct SpecInput {
  ContainerId id;
  api::ContainerConfig config;  ///< merged with the image's
  api::HostConfig host;
  std::vector<std::string> args;  ///< entrypoint and command
  User user;
  std::string hostname;
  std::string cgroups_path;  ///< "/pouch-<root>/<id>"
  std::string netns_path;    ///< joined when not empty; else none = new, host = the host's
  bool host_network = false;
  MountPlan mounts;
  /// Bind mounts of the engine's own: hostname, hosts, resolv.conf.
  std::vector<BindMount> engine_files;
};

struct SpecOutput {
  std::string json;
  std::vector<std::string> warnings;  ///< what was lowered to what this host allows
};

/// InvalidArgument or NotImplemented name the option at fault.
Result<SpecOutput> build_oci_spec(const SpecInput& input, const HostFacts& facts);

/// The `process` object for an exec in a container made from `input`.
Result<SpecOutput> build_exec_process(const SpecInput& input, const api::ExecConfig& exec, const User& user,
                                      const HostFacts& facts);

/// What a container may not see, and what it may not change, unless it is privileged or told otherwise.
std::vector<std::string> default_masked_paths();
std::vector<std::string> default_readonly_paths();
/// "private" with cgroup v2; "host" with v1 and for privileged containers.
std::string default_cgroupns(bool cgroup_v2, bool privileged);

/// What create checks before anything is made: everything of the above that needs no host or rootfs.
Status validate(const api::ContainerConfig& config, const api::HostConfig& host);

}  // namespace pouch::spec
