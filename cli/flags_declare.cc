#include "cli/flag_values.h"
#include "cli/flags_container.h"

// The names, types and helps of the flags of run and create.
namespace pouch::cli {
namespace {

Json::Value bytes(const std::string& text) {
  return Json::Int64(parse_bytes(text));
}
Json::Value bytes_or_unlimited(const std::string& text) {
  return Json::Int64(parse_bytes_or_unlimited(text));
}
Json::Value cpus(const std::string& text) {
  return Json::Int64(parse_cpus(text));
}
Json::Value span(const std::string& text) {
  return Json::Int64(parse_span(text));
}
Json::Value extra_host(const std::string& text) {
  return parse_extra_host(text);
}
Json::Value bytes_rate(const std::string& text) {
  return parse_throttle_device(text, true);
}
Json::Value operations_rate(const std::string& text) {
  return parse_throttle_device(text, false);
}
Json::Value truth(const std::string& text) {
  return parse_bool(text);
}

std::string stream_name(const std::string& text) {
  std::string name = text;
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (name != "stdin" && name != "stdout" && name != "stderr") {
    throw BadValue("valid streams are STDIN, STDOUT and STDERR");
  }
  return name;
}

// "net_admin" as CAP_NET_ADMIN, the form in which Docker's CLI sends it.
Json::Value capability(const std::string& text) {
  std::string name = text;
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name == "ALL" || name.starts_with("CAP_") ? name : "CAP_" + name;
}

std::string label(const std::string& text) {
  if (parse_pair(text).first.empty()) throw BadValue("invalid label '" + text + "': empty name");
  return text;
}

}  // namespace

void ContainerFlags::text(Options& options, const std::string& names, Json::Value& document, const char* key,
                          const std::string& help) {
  options.value(names, "string", help, [&document, key](const std::string& value) { document[key] = value; });
}

void ContainerFlags::integer(Options& options, const std::string& names, Json::Value& document,
                             const char* key, const std::string& help) {
  options.value(names, "int", help, [&document, key](const std::string& value) {
    document[key] = Json::Int64(parse_integer(value));
  });
}

void ContainerFlags::list(Options& options, const std::string& names, Json::Value& document, const char* key,
                          const std::string& help) {
  options.value(names, "list", help,
                [&document, key](const std::string& value) { document[key].append(value); });
}

void ContainerFlags::parsed(Options& options, const std::string& names, const std::string& type,
                            Json::Value& document, const char* key, Json::Value (*parse)(const std::string&),
                            bool append, const std::string& help) {
  options.value(names, type, help, [&document, key, parse, append](const std::string& value) {
    Json::Value result = parse(value);
    if (append) {
      document[key].append(result);
    } else {
      document[key] = result;
    }
  });
}

void ContainerFlags::pairs(Options& options, const std::string& names, Json::Value& document, const char* key,
                           const std::string& help) {
  options.value(names, "map", help, [&document, key](const std::string& value) {
    const auto [left, right] = parse_pair(value);
    if (left.empty()) throw BadValue("invalid format: expected name=value");
    document[key][left] = right;
  });
}

void ContainerFlags::declare(Options& options) {
  declare_process(options);
  declare_resources(options);
  declare_devices(options);
  declare_security(options);
  declare_mounts(options);
  declare_network(options);
  declare_life(options);
  declare_health(options);
}

void ContainerFlags::declare_process(Options& o) {
  o.flag("-i, --interactive", &interactive, "Keep STDIN open even if not attached");
  o.flag("-t, --tty", &tty, "Allocate a pseudo-TTY");
  o.value("-a, --attach", "list", "Attach to STDIN, STDOUT or STDERR",
          [this](const std::string& value) { attach.push_back(stream_name(value)); });
  o.value("-e, --env", "list", "Set environment variables",
          [this](const std::string& value) { env_.push_back(parse_env(value)); });
  o.list("--env-file", &env_files_, "Read in a file of environment variables");
  o.given_text("--entrypoint", &entrypoint_, "string", "Overwrite the default ENTRYPOINT of the image");
  o.value("-l, --label", "list", "Set meta data on a container",
          [this](const std::string& value) { labels_.push_back(label(value)); });
  o.list("--label-file", &label_files_, "Read in a line delimited file of labels");
  pairs(o, "--annotation", host_, "Annotations",
        "Add an annotation to the container (passed to the runtime)");
  text(o, "-w, --workdir", config_, "WorkingDir", "Working directory inside the container");
  text(o, "-u, --user", config_, "User", "Username or UID (format: <name|uid>[:<group|gid>])");
  list(o, "--group-add", host_, "GroupAdd", "Add additional groups to join");
  text(o, "-h, --hostname", config_, "Hostname", "Container host name");
  text(o, "--domainname", config_, "Domainname", "Container NIS domain name");
  text(o, "--runtime", host_, "Runtime", "Runtime to use for this container");
  parsed(o, "--init", "", host_, "Init", truth, false,
         "Run an init inside the container that forwards signals");
}

void ContainerFlags::declare_resources(Options& o) {
  parsed(o, "-m, --memory", "bytes", host_, "Memory", bytes, false, "Memory limit");
  parsed(o, "--memory-reservation", "bytes", host_, "MemoryReservation", bytes, false, "Memory soft limit");
  parsed(o, "--memory-swap", "bytes", host_, "MemorySwap", bytes_or_unlimited, false,
         "Limit of memory plus swap: '-1' for unlimited swap");
  integer(o, "--memory-swappiness", host_, "MemorySwappiness", "Tune container memory swappiness (0 to 100)");
  parsed(o, "--kernel-memory", "bytes", host_, "KernelMemory", bytes, false, "Kernel memory limit");
  parsed(o, "--oom-kill-disable", "", host_, "OomKillDisable", truth, false, "Disable OOM Killer");
  integer(o, "--oom-score-adj", host_, "OomScoreAdj", "Tune host's OOM preferences (-1000 to 1000)");
  parsed(o, "--shm-size", "bytes", host_, "ShmSize", bytes, false, "Size of /dev/shm");
  integer(o, "--pids-limit", host_, "PidsLimit", "Tune container pids limit (set -1 for unlimited)");
  parsed(o, "--cpus", "decimal", host_, "NanoCpus", cpus, false, "Number of CPUs");
  integer(o, "-c, --cpu-shares", host_, "CpuShares", "CPU shares (relative weight)");
  integer(o, "--cpu-period", host_, "CpuPeriod", "Limit CPU CFS (Completely Fair Scheduler) period");
  integer(o, "--cpu-quota", host_, "CpuQuota", "Limit CPU CFS (Completely Fair Scheduler) quota");
  integer(o, "--cpu-rt-period", host_, "CpuRealtimePeriod", "Limit CPU real-time period in microseconds");
  integer(o, "--cpu-rt-runtime", host_, "CpuRealtimeRuntime", "Limit CPU real-time runtime in microseconds");
  text(o, "--cpuset-cpus", host_, "CpusetCpus", "CPUs in which to allow execution (0-3, 0,1)");
  text(o, "--cpuset-mems", host_, "CpusetMems", "MEMs in which to allow execution (0-3, 0,1)");
  parsed(o, "--ulimit", "ulimit", host_, "Ulimits", parse_ulimit, true, "Ulimit options");
  text(o, "--cgroup-parent", host_, "CgroupParent", "Optional parent cgroup for the container");
  pairs(o, "--storage-opt", host_, "StorageOpt", "Storage driver options for the container");
}

void ContainerFlags::declare_devices(Options& o) {
  parsed(o, "--device", "list", host_, "Devices", parse_device, true, "Add a host device to the container");
  list(o, "--device-cgroup-rule", host_, "DeviceCgroupRules",
       "Add a rule to the cgroup allowed devices list");
  parsed(o, "--device-read-bps", "list", host_, "BlkioDeviceReadBps", bytes_rate, true,
         "Limit read rate (bytes per second) from a device");
  parsed(o, "--device-write-bps", "list", host_, "BlkioDeviceWriteBps", bytes_rate, true,
         "Limit write rate (bytes per second) to a device");
  parsed(o, "--device-read-iops", "list", host_, "BlkioDeviceReadIOps", operations_rate, true,
         "Limit read rate (IO per second) from a device");
  parsed(o, "--device-write-iops", "list", host_, "BlkioDeviceWriteIOps", operations_rate, true,
         "Limit write rate (IO per second) to a device");
  integer(o, "--blkio-weight", host_, "BlkioWeight", "Block IO (relative weight), between 10 and 1000");
  parsed(o, "--blkio-weight-device", "list", host_, "BlkioWeightDevice", parse_weight_device, true,
         "Block IO weight (relative device weight)");
}

void ContainerFlags::declare_security(Options& o) {
  parsed(o, "--cap-add", "list", host_, "CapAdd", capability, true, "Add Linux capabilities");
  parsed(o, "--cap-drop", "list", host_, "CapDrop", capability, true, "Drop Linux capabilities");
  parsed(o, "--privileged", "", host_, "Privileged", truth, false,
         "Give extended privileges to this container");
  parsed(o, "--read-only", "", host_, "ReadonlyRootfs", truth, false,
         "Mount the container's root filesystem as read only");
  o.list("--security-opt", &security_, "Security Options");
  pairs(o, "--sysctl", host_, "Sysctls", "Sysctl options");
  text(o, "--pid", host_, "PidMode", "PID namespace to use");
  text(o, "--ipc", host_, "IpcMode", "IPC mode to use");
  text(o, "--uts", host_, "UTSMode", "UTS namespace to use");
  text(o, "--userns", host_, "UsernsMode", "User namespace to use");
  text(o, "--cgroupns", host_, "CgroupnsMode", "Cgroup namespace to use (host|private)");
  text(o, "--isolation", host_, "Isolation", "Container isolation technology");
}

void ContainerFlags::declare_mounts(Options& o) {
  o.list("-v, --volume", &volumes_, "Bind mount a volume");
  parsed(o, "--mount", "mount", host_, "Mounts", parse_mount, true,
         "Attach a filesystem mount to the container");
  o.value("--tmpfs", "list", "Mount a tmpfs directory", [this](const std::string& value) {
    const size_t colon = value.find(':');
    host_["Tmpfs"][value.substr(0, colon)] = colon == std::string::npos ? "" : value.substr(colon + 1);
  });
  list(o, "--volumes-from", host_, "VolumesFrom", "Mount volumes from the specified container(s)");
  text(o, "--volume-driver", host_, "VolumeDriver", "Optional volume driver for the container");
}

void ContainerFlags::declare_network(Options& o) {
  o.list("--network|--net", &networks_, "Connect a container to a network");
  list(o, "--network-alias|--net-alias", endpoint_, "Aliases", "Add network-scoped alias for the container");
  list(o, "--link", host_, "Links", "Add link to another container");
  text(o, "--mac-address", endpoint_, "MacAddress", "Container MAC address (e.g., 92:d0:c6:0a:29:33)");
  text(o, "--ip", addresses_, "IPv4Address", "IPv4 address (e.g., 172.30.100.104)");
  text(o, "--ip6", addresses_, "IPv6Address", "IPv6 address (e.g., 2001:db8::33)");
  list(o, "--link-local-ip", addresses_, "LinkLocalIPs", "Container IPv4/IPv6 link-local addresses");
  list(o, "--dns", host_, "Dns", "Set custom DNS servers");
  list(o, "--dns-option|--dns-opt", host_, "DnsOptions", "Set DNS options");
  list(o, "--dns-search", host_, "DnsSearch", "Set custom DNS search domains");
  parsed(o, "--add-host", "list", host_, "ExtraHosts", extra_host, true,
         "Add a custom host-to-IP mapping (host:ip)");
  o.value("-p, --publish", "list", "Publish a container's port(s) to the host",
          [this](const std::string& value) {
            parse_publish(value, config_["ExposedPorts"], host_["PortBindings"]);
          });
  parsed(o, "-P, --publish-all", "", host_, "PublishAllPorts", truth, false,
         "Publish all exposed ports to random ports");
  o.value("--expose", "list", "Expose a port or a range of ports",
          [this](const std::string& value) { parse_expose(value, config_["ExposedPorts"]); });
}

void ContainerFlags::declare_life(Options& o) {
  o.text("--name", &name, "string", "Assign a name to the container");
  o.text("--platform", &platform, "string", "Set platform if server is multi-platform capable");
  o.text("--pull", &pull, "string", "Pull image before running (\"always\", \"missing\", \"never\")");
  o.text("--cidfile", &id_file, "string", "Write the container ID to the file");
  o.flag("--rm", &auto_remove, "Automatically remove the container when it exits");
  parsed(o, "--restart", "string", host_, "RestartPolicy", parse_restart, false,
         "Restart policy to apply when a container exits");
  text(o, "--stop-signal", config_, "StopSignal", "Signal to stop the container");
  integer(o, "--stop-timeout", config_, "StopTimeout", "Timeout (in seconds) to stop a container");
  text(o, "--log-driver", log_, "Type", "Logging driver for the container");
  pairs(o, "--log-opt", log_, "Config", "Log driver options");
}

void ContainerFlags::declare_health(Options& o) {
  o.flag("--no-healthcheck", &no_health_check_, "Disable any container-specified HEALTHCHECK");
  o.given_text("--health-cmd", &health_command_, "string", "Command to run to check health");
  parsed(o, "--health-interval", "duration", health_, "Interval", span, false,
         "Time between running the check (ms|s|m|h)");
  parsed(o, "--health-timeout", "duration", health_, "Timeout", span, false,
         "Maximum time to allow one check to run (ms|s|m|h)");
  parsed(o, "--health-start-period", "duration", health_, "StartPeriod", span, false,
         "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)");
  parsed(o, "--health-start-interval", "duration", health_, "StartInterval", span, false,
         "Time between running the check during the start period (ms|s|m|h)");
  integer(o, "--health-retries", health_, "Retries", "Consecutive failures needed to report unhealthy");
}

}  // namespace pouch::cli
