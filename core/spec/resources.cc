#include "core/spec/resources.h"

#include "core/base/text.h"

namespace pouch::spec {
namespace {

constexpr int64_t kMinMemory = 6 * 1024 * 1024;  // below, Docker says, runc itself does not start
constexpr int64_t kDefaultPeriod = 100'000;      // us, the kernel's

void set_positive(Json& out, const char* name, const std::optional<int64_t>& value) {
  if (value.value_or(0) > 0) out[name] = ::Json::Int64{*value};
}

Json cpu_of(const api::HostConfig& host) {
  Json cpu = json_object();
  set_positive(cpu, "shares", host.cpu_shares);
  set_positive(cpu, "period", host.cpu_period);
  if (host.cpu_quota.value_or(0) != 0) cpu["quota"] = ::Json::Int64{*host.cpu_quota};
  if (host.nano_cpus.value_or(0) > 0) {
    cpu["period"] = ::Json::Int64{kDefaultPeriod};
    cpu["quota"] = ::Json::Int64{*host.nano_cpus * kDefaultPeriod / 1'000'000'000};
  }
  set_positive(cpu, "realtimePeriod", host.cpu_realtime_period);
  set_positive(cpu, "realtimeRuntime", host.cpu_realtime_runtime);
  if (!host.cpuset_cpus.value_or("").empty()) cpu["cpus"] = *host.cpuset_cpus;
  if (!host.cpuset_mems.value_or("").empty()) cpu["mems"] = *host.cpuset_mems;
  return cpu;
}

Json memory_of(const api::HostConfig& host) {
  Json memory = json_object();
  set_positive(memory, "limit", host.memory);
  set_positive(memory, "reservation", host.memory_reservation);
  if (host.memory_swap.value_or(0) != 0) {
    memory["swap"] = ::Json::Int64{*host.memory_swap};
  } else if (host.memory.value_or(0) > 0) {
    memory["swap"] = ::Json::Int64{*host.memory * 2};  // Docker's default: as much swap as memory
  }
  if (host.memory_swappiness.value_or(-1) >= 0) memory["swappiness"] = ::Json::Int64{*host.memory_swappiness};
  if (host.oom_kill_disable.value_or(false)) memory["disableOOMKiller"] = true;
  return memory;
}

Status add_throttles(Json& block, const char* name,
                     const std::optional<std::vector<api::ThrottleDevice>>& list, const HostFacts& facts) {
  if (!list || list->empty()) return {};
  block[name] = json_array();
  for (const api::ThrottleDevice& entry : *list) {
    const Result<DeviceNode> device = facts.stat_device(entry.path.value_or(""));
    if (!device.is_ok())
      return device.status().prefix("throttle of device " + quote(entry.path.value_or("")));
    Json row = json_object();
    row["major"] = ::Json::Int64{device->major};
    row["minor"] = ::Json::Int64{device->minor};
    row["rate"] = ::Json::UInt64{entry.rate.value_or(0)};
    block[name].append(std::move(row));
  }
  return {};
}

Result<Json> block_io_of(const api::HostConfig& host, const HostFacts& facts) {
  Json block = json_object();
  set_positive(block, "weight", host.blkio_weight);
  if (host.blkio_weight_device && !host.blkio_weight_device->empty()) {
    block["weightDevice"] = json_array();
    for (const api::WeightDevice& entry : *host.blkio_weight_device) {
      POUCH_ASSIGN_OR_RETURN(const DeviceNode device, facts.stat_device(entry.path.value_or("")));
      Json row = json_object();
      row["major"] = ::Json::Int64{device.major};
      row["minor"] = ::Json::Int64{device.minor};
      row["weight"] = ::Json::Int64{entry.weight.value_or(0)};
      block["weightDevice"].append(std::move(row));
    }
  }
  POUCH_RETURN_IF_ERROR(add_throttles(block, "throttleReadBpsDevice", host.blkio_device_read_bps, facts));
  POUCH_RETURN_IF_ERROR(add_throttles(block, "throttleWriteBpsDevice", host.blkio_device_write_bps, facts));
  POUCH_RETURN_IF_ERROR(add_throttles(block, "throttleReadIOPSDevice", host.blkio_device_read_iops, facts));
  POUCH_RETURN_IF_ERROR(add_throttles(block, "throttleWriteIOPSDevice", host.blkio_device_write_iops, facts));
  return block;
}

Json device_rule(bool allow, const std::string& type, std::optional<int64_t> major,
                 std::optional<int64_t> minor, const std::string& access) {
  Json out = json_object();
  out["allow"] = allow;
  if (!type.empty()) out["type"] = type;
  if (major) out["major"] = ::Json::Int64{*major};
  if (minor) out["minor"] = ::Json::Int64{*minor};
  out["access"] = access;
  return out;
}

Json device_json(const DeviceNode& device, const std::string& path) {
  Json out = json_object();
  out["path"] = path;
  out["type"] = std::string(1, device.type);
  out["major"] = ::Json::Int64{device.major};
  out["minor"] = ::Json::Int64{device.minor};
  out["fileMode"] = device.mode;
  out["uid"] = device.uid;
  out["gid"] = device.gid;
  return out;
}

Json default_rules() {
  Json rules = json_array();
  rules.append(device_rule(false, "", {}, {}, "rwm"));
  rules.append(device_rule(true, "c", {}, {}, "m"));
  rules.append(device_rule(true, "b", {}, {}, "m"));
  // null, zero, full, random, urandom, tty, console, ptmx, and all of pts.
  for (const int64_t minor : {3, 5, 7, 8, 9}) rules.append(device_rule(true, "c", 1, minor, "rwm"));
  for (const int64_t minor : {0, 1, 2}) rules.append(device_rule(true, "c", 5, minor, "rwm"));
  rules.append(device_rule(true, "c", 136, {}, "rwm"));
  return rules;
}

std::optional<int64_t> rule_number(const std::string& text, bool& ok) {
  if (text == "*") return std::nullopt;
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || value > 1'000'000) {
      ok = false;
      return std::nullopt;
    }
    value = value * 10 + (c - '0');
  }
  if (text.empty()) ok = false;
  return value;
}

// "c 42:* rwm"
Result<Json> parse_device_rule(const std::string& text) {
  const auto words = split(text, ' ');
  const Status bad = invalid_argument("invalid device cgroup rule format: '" + text + "'");
  if (words.size() != 3 || words[0].size() != 1 || std::string("abc").find(words[0]) == std::string::npos)
    return bad;
  const auto numbers = split(words[1], ':');
  if (numbers.size() != 2 || words[2].empty() || words[2].find_first_not_of("rwm") != std::string::npos)
    return bad;
  bool ok = true;
  const auto major = rule_number(numbers[0], ok);
  const auto minor = rule_number(numbers[1], ok);
  if (!ok) return bad;
  return device_rule(true, words[0], major, minor, words[2]);
}

Status add_device(const api::DeviceMapping& mapping, const HostFacts& facts, Devices& out) {
  const std::string path = mapping.path_on_host.value_or("");
  const std::string target =
      mapping.path_in_container.value_or("").empty() ? path : *mapping.path_in_container;
  const std::string access =
      mapping.cgroup_permissions.value_or("").empty() ? "rwm" : *mapping.cgroup_permissions;
  if (access.find_first_not_of("rwm") != std::string::npos) {
    return invalid_argument("HostConfig.Devices: invalid CgroupPermissions " + quote(access));
  }
  std::vector<std::pair<DeviceNode, std::string>> found;
  const Result<DeviceNode> device = facts.stat_device(path);
  if (device.is_ok()) {
    found.emplace_back(*device, target);
  } else {
    for (const DeviceNode& node : facts.list_devices(path)) {
      found.emplace_back(node, target + node.path.substr(path.size()));
    }
    if (found.empty()) {
      const bool absent = device.code() == Code::kNotFound;  // the docker CLI makes 127 of these words
      return invalid_argument("error gathering device information while adding custom device " + quote(path) +
                              ": " + (absent ? "no such file or directory" : device.status().message()));
    }
  }
  for (const auto& [node, inside] : found) {
    out.nodes.append(device_json(node, inside));
    out.rules.append(device_rule(true, std::string(1, node.type), node.major, node.minor, access));
  }
  return {};
}

Status validate_memory(const api::HostConfig& host) {
  const int64_t memory = host.memory.value_or(0);
  const int64_t swap = host.memory_swap.value_or(0);
  if (memory != 0 && memory < kMinMemory) return invalid_argument("Minimum memory limit allowed is 6MB");
  if (memory > 0 && swap > 0 && swap < memory) {
    return invalid_argument("Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  if (memory == 0 && swap > 0) {
    return invalid_argument("You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  const int64_t swappiness = host.memory_swappiness.value_or(-1);
  if (swappiness < -1 || swappiness > 100) {
    return invalid_argument("Invalid value: " + std::to_string(swappiness) +
                            ", valid memory swappiness range is 0-100");
  }
  if (memory > 0 && host.memory_reservation.value_or(0) > memory) {
    return invalid_argument("Minimum memory limit can not be less than memory reservation limit, see usage");
  }
  return {};
}

Status validate_cpu(const api::HostConfig& host) {
  if (host.nano_cpus.value_or(0) < 0) return invalid_argument("HostConfig.NanoCpus must not be negative");
  if (host.nano_cpus.value_or(0) > 0 && host.cpu_period.value_or(0) > 0) {
    return invalid_argument("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  }
  if (host.nano_cpus.value_or(0) > 0 && host.cpu_quota.value_or(0) > 0) {
    return invalid_argument("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  }
  if (host.cpu_shares.value_or(0) < 0) {
    return invalid_argument("invalid CPU shares (" + std::to_string(*host.cpu_shares) +
                            "): value must be a positive integer");
  }
  const int64_t period = host.cpu_period.value_or(0);
  if (period != 0 && (period < 1000 || period > 1'000'000)) {
    return invalid_argument(
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  }
  const int64_t quota = host.cpu_quota.value_or(0);
  if (quota > 0 && quota < 1000)
    return invalid_argument("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  const int64_t weight = host.blkio_weight.value_or(0);
  if (weight != 0 && (weight < 10 || weight > 1000))
    return invalid_argument("Range of blkio weight is from 10 to 1000");
  return {};
}

}  // namespace

Status validate_resources(const api::HostConfig& host) {
  POUCH_RETURN_IF_ERROR(validate_memory(host));
  POUCH_RETURN_IF_ERROR(validate_cpu(host));
  if (host.kernel_memory.value_or(0) != 0) return not_implemented("HostConfig.KernelMemory is not supported");
  if (host.kernel_memory_tcp.value_or(0) != 0)
    return not_implemented("HostConfig.KernelMemoryTCP is not supported");
  for (const std::string& rule : host.device_cgroup_rules.value_or(std::vector<std::string>{})) {
    POUCH_RETURN_IF_ERROR(parse_device_rule(rule).status());
  }
  if (host.cpu_count.value_or(0) != 0)
    return not_implemented("HostConfig.CpuCount is not supported on Linux");
  if (host.cpu_percent.value_or(0) != 0)
    return not_implemented("HostConfig.CpuPercent is not supported on Linux");
  if (host.io_maximum_iops.value_or(0) != 0)
    return not_implemented("HostConfig.IOMaximumIOps is not supported on Linux");
  if (host.io_maximum_bandwidth.value_or(0) != 0) {
    return not_implemented("HostConfig.IOMaximumBandwidth is not supported on Linux");
  }
  return {};
}

Result<Json> build_resources(const api::HostConfig& host, const HostFacts& facts) {
  Json out = json_object();
  if (Json cpu = cpu_of(host); !cpu.empty()) out["cpu"] = std::move(cpu);
  if (Json memory = memory_of(host); !memory.empty()) out["memory"] = std::move(memory);
  POUCH_ASSIGN_OR_RETURN(Json block, block_io_of(host, facts));
  if (!block.empty()) out["blockIO"] = std::move(block);
  const int64_t pids = host.pids_limit.value_or(0);
  if (pids != 0) out["pids"]["limit"] = ::Json::Int64{pids};
  return out;
}

Result<Devices> build_devices(const api::HostConfig& host, bool privileged, const HostFacts& facts) {
  Devices out{json_array(), json_array()};
  if (privileged) {
    out.rules.append(device_rule(true, "", {}, {}, "rwm"));
    for (const DeviceNode& node : facts.list_devices("/dev")) out.nodes.append(device_json(node, node.path));
    return out;
  }
  out.rules = default_rules();
  for (const api::DeviceMapping& mapping : host.devices.value_or(std::vector<api::DeviceMapping>{})) {
    POUCH_RETURN_IF_ERROR(add_device(mapping, facts, out));
  }
  for (const std::string& rule : host.device_cgroup_rules.value_or(std::vector<std::string>{})) {
    POUCH_ASSIGN_OR_RETURN(Json parsed, parse_device_rule(rule));
    out.rules.append(std::move(parsed));
  }
  return out;
}

}  // namespace pouch::spec
