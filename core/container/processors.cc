#include "core/container/processors.h"

#include <algorithm>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/sys/file.h"
#include "core/sys/host_facts.h"

namespace pouch::container {
namespace {

constexpr int64_t kNano = 1'000'000'000;
constexpr int kMaxCpu = 8192;  // the kernel's own CONFIG_NR_CPUS bound

std::optional<int> parse_number(std::string_view text) {
  const auto value = whole_number<int>(text);
  return value && *value >= 0 && *value <= kMaxCpu ? value : std::nullopt;
}

// What the top control group may use; empty where that is not told.
std::string available(const std::string& what) {
  const auto groups = sys::read_cgroup_facts();
  if (!groups.is_ok()) return {};
  const auto v1 = groups->controller_dirs.find("cpuset");
  std::string file;
  if (v1 != groups->controller_dirs.end()) {
    file = v1->second + "/cpuset." + what;
  } else if (!groups->unified_dir.empty()) {
    file = groups->unified_dir + "/cpuset." + what + ".effective";
  } else {
    return {};
  }
  const auto text = sys::read_file(file);
  return text.is_ok() ? std::string(trim(*text)) : std::string();
}

Status check_set(const std::string& wanted, const std::string& what, const std::string& moby_name) {
  if (wanted.empty()) return {};
  const auto asked = parse_cpu_list(wanted);
  if (!asked) return invalid_argument("Invalid value " + wanted + " for cpuset " + what);
  const std::string text = available(what);
  const auto have = parse_cpu_list(text);
  if (!have || std::ranges::includes(*have, *asked)) return {};
  return invalid_argument("Requested " + moby_name + " are not available - requested " + wanted +
                          ", available: " + text);
}

}  // namespace

std::optional<std::set<int>> parse_cpu_list(std::string_view text) {
  std::set<int> out;
  for (const std::string& part : split(text, ',')) {
    const std::string_view range(part);
    const size_t dash = range.find('-');
    const auto first = parse_number(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_number(range.substr(dash + 1));
    if (!first || !last || *first > *last) return std::nullopt;
    for (int cpu = *first; cpu <= *last; ++cpu) out.insert(cpu);
  }
  return out;
}

Status check_processors(const api::HostConfig& host) {
  if (host.nano_cpus.value_or(0) > 0) {
    const int cpus = sys::read_host_facts().cpus;
    if (*host.nano_cpus > int64_t{cpus} * kNano) {
      const std::string count = std::to_string(cpus);
      return invalid_argument("Range of CPUs is from 0.01 to " + count + ".00, as there are only " + count +
                              " CPUs available");
    }
  }
  POUCH_RETURN_IF_ERROR(check_set(host.cpuset_cpus.value_or(""), "cpus", "CPUs"));
  return check_set(host.cpuset_mems.value_or(""), "mems", "memory nodes");
}

}  // namespace pouch::container
