#include <sys/utsname.h>

#include "core/base/text.h"
#include "core/sys/file.h"
#include "core/sys/host_facts.h"
#include "core/sys/mount_sharing.h"
#include "core/sys/nf_tables_probe.h"
#include "core/system/check.h"

// What of the checks is about the kernel.

namespace pouch::checks {
namespace {

// Loaded, or there to be loaded by the first mount.
bool has_overlay() {
  const Result<std::string> loaded = sys::read_file("/proc/filesystems");
  if (loaded.is_ok() && loaded->find("\toverlay\n") != std::string::npos) return true;
  utsname names{};
  if (::uname(&names) != 0) return false;
  for (const char* file : {"/modules.dep", "/modules.builtin"}) {
    const Result<std::string> modules = sys::read_file(std::string("/lib/modules/") + names.release + file);
    if (modules.is_ok() && modules->find("/overlay.ko") != std::string::npos) return true;
  }
  return false;
}

std::string lacking(const sys::CgroupFacts& facts) {
  std::vector<std::string> names;
  if (!facts.has_memory) names.emplace_back("memory");
  if (!facts.has_cpu) names.emplace_back("cpu");
  if (!facts.has_pids) names.emplace_back("pids");
  if (!facts.has_cpuset) names.emplace_back("cpuset");
  if (!facts.has_blkio) names.emplace_back("io");
  if (!facts.has_freezer) names.emplace_back("freezer");
  return join(names, ", ");
}

}  // namespace

void overlay(const EngineOptions& options, Findings& out) {
  if (!options.snapshotter.empty() && options.snapshotter != "overlayfs") {
    out.push_back(findings::fine("overlayfs", "not used: the snapshotter is " + options.snapshotter));
    return;
  }
  out.push_back(has_overlay() ? findings::fine("overlayfs", "the kernel has it") : findings::no_overlay());
}

void control_groups(Findings& out) {
  const Result<sys::CgroupFacts> facts = sys::read_cgroup_facts();
  if (!facts.is_ok() || facts->mode == sys::CgroupMode::kNone) {
    const auto hidden =
        findings::fine("cgroups", "a /sys of its own hides them; they are mounted when needed");
    out.push_back(sys::are_cgroups_hidden() ? hidden : findings::no_cgroups());
    return;
  }
  const bool is_v2 = facts->mode == sys::CgroupMode::kV2;
  const std::string missing = lacking(*facts);
  if (!missing.empty()) {
    out.push_back(findings::lacking_controllers(missing, is_v2));
    return;
  }
  const char* const hybrid = facts->mode == sys::CgroupMode::kHybrid ? " (hybrid)" : "";
  out.push_back(findings::fine("cgroups", "version " + facts->version_text() + hybrid));
}

void packet_filter(Findings& out) {
  const Status filter = sys::probe_nf_tables();
  if (filter.is_ok()) {
    out.push_back(findings::fine("nftables", "the kernel has it"));
  } else if (filter.code() == Code::kPermissionDenied && !is_root()) {
    out.push_back(findings::needs_root("nftables"));
  } else {
    out.push_back(findings::no_nftables(filter.message()));
  }
  const Result<std::string> forward = sys::read_file("/proc/sys/net/ipv4/ip_forward");
  const bool forwards = forward.is_ok() && trim(*forward) == "1";
  out.push_back(forwards ? findings::fine("forwarding", "the host forwards IPv4")
                         : findings::no_forwarding());
}

}  // namespace pouch::checks
