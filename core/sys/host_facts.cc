#include "core/sys/host_facts.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/sys/file.h"
#include "core/sys/mounts.h"

namespace pouch::sys {
namespace {

bool has_word(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void add_v1_mount(CgroupFacts& facts, const MountEntry& entry) {
  for (const std::string& option : split(entry.super_options, ',')) {
    if (option == "rw" || option == "ro" || option.find('=') != std::string::npos) continue;
    facts.controller_dirs.emplace(option, entry.mount_point);
  }
}

void conclude_v1(CgroupFacts& facts) {
  const auto has = [&](const char* name) { return facts.controller_dirs.contains(name); };
  facts.mode = facts.unified_dir.empty() ? CgroupMode::kV1 : CgroupMode::kHybrid;
  facts.has_memory = has("memory");
  facts.has_swap =
      facts.has_memory &&
      ::access((facts.controller_dirs["memory"] + "/memory.memsw.limit_in_bytes").c_str(), F_OK) == 0;
  facts.has_cpu = has("cpu");
  facts.has_cpuset = has("cpuset");
  facts.has_pids = has("pids");
  facts.has_blkio = has("blkio");
  facts.has_freezer = has("freezer");
}

void conclude_v2(CgroupFacts& facts) {
  facts.mode = CgroupMode::kV2;
  const Result<std::string> text = read_file(facts.unified_dir + "/cgroup.controllers");
  const std::vector<std::string> names = split(trim(text.is_ok() ? std::string_view(*text) : ""), ' ');
  facts.has_memory = has_word(names, "memory");
  facts.has_swap = facts.has_memory && ::access("/proc/swaps", F_OK) == 0;
  facts.has_cpu = has_word(names, "cpu");
  facts.has_cpuset = has_word(names, "cpuset");
  facts.has_pids = has_word(names, "pids");
  facts.has_blkio = has_word(names, "io");
  facts.has_freezer = true;  // built into v2
}

}  // namespace

Result<CgroupFacts> read_cgroup_facts() {
  CgroupFacts facts;
  POUCH_ASSIGN_OR_RETURN(const std::vector<MountEntry> entries, read_mountinfo());
  for (const MountEntry& entry : entries) {
    if (entry.fs_type == "cgroup2" && facts.unified_dir.empty()) facts.unified_dir = entry.mount_point;
    if (entry.fs_type == "cgroup") add_v1_mount(facts, entry);
  }
  if (!facts.controller_dirs.empty()) {
    conclude_v1(facts);
  } else if (!facts.unified_dir.empty()) {
    conclude_v2(facts);
  }
  return facts;
}

bool lacks_hugetlb_hierarchy() {
  const Result<CgroupFacts> facts = read_cgroup_facts();
  if (!facts.is_ok() || facts->mode == CgroupMode::kV2 || facts->controller_dirs.contains("hugetlb")) {
    return false;
  }
  // "hugetlb <hierarchy> <groups> <enabled>"
  const Result<std::string> known = read_file("/proc/cgroups");
  for (const std::string& line : split(known.is_ok() ? *known : "", '\n')) {
    if (line.starts_with("hugetlb\t")) return line.ends_with("\t1");
  }
  return false;
}

std::map<std::string, std::string> parse_os_release(std::string_view text) {
  std::map<std::string, std::string> values;
  for (const std::string& line : split(text, '\n')) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos || line.front() == '#') continue;
    std::string_view raw = trim(std::string_view(line).substr(equals + 1));
    const bool is_quoted =
        raw.size() >= 2 && (raw.front() == '"' || raw.front() == '\'') && raw.back() == raw.front();
    if (is_quoted) raw = raw.substr(1, raw.size() - 2);
    std::string value;
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '\\' && i + 1 < raw.size()) ++i;
      value += raw[i];
    }
    values[line.substr(0, equals)] = std::move(value);
  }
  return values;
}

int64_t meminfo_bytes(std::string_view text, std::string_view key) {
  for (const std::string& line : split(text, '\n')) {
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':') continue;
    return leading_number<int64_t>(trim(std::string_view(line).substr(key.size() + 1))) *
           1024;  // told in KiB
  }
  return 0;
}

HostFacts read_host_facts() {
  HostFacts facts;
  utsname names = {};
  if (::uname(&names) == 0) {
    facts.kernel = names.release;
    facts.architecture = names.machine;
    facts.hostname = names.nodename;
  }
  Result<std::string> release = read_file("/etc/os-release");
  if (!release.is_ok()) release = read_file("/usr/lib/os-release");
  if (release.is_ok()) {
    auto values = parse_os_release(*release);
    facts.os_name = values["PRETTY_NAME"];
    facts.os_version = values["VERSION_ID"];
  }
  if (facts.os_name.empty()) facts.os_name = "Linux";
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  const bool has_mask = ::sched_getaffinity(0, sizeof cpus, &cpus) == 0;
  facts.cpus = has_mask ? CPU_COUNT(&cpus) : static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  if (const Result<std::string> meminfo = read_file("/proc/meminfo"); meminfo.is_ok()) {
    facts.memory_bytes = meminfo_bytes(*meminfo, "MemTotal");
    facts.swap_bytes = meminfo_bytes(*meminfo, "SwapTotal");
  }
  return facts;
}

std::string oci_architecture(std::string_view machine) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kNames = {{
      {"x86_64", "amd64"},
      {"aarch64", "arm64"},
      {"i386", "386"},
      {"i686", "386"},
      {"armv7l", "arm"},
      {"armv6l", "arm"},
      {"ppc64le", "ppc64le"},
      {"s390x", "s390x"},
      {"riscv64", "riscv64"},
  }};
  for (const auto& [name, oci] : kNames) {
    if (name == machine) return std::string(oci);
  }
  return std::string(machine);
}

}  // namespace pouch::sys
