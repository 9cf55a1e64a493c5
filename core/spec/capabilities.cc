#include "core/spec/capabilities.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/base/text.h"

namespace pouch::spec {
namespace {

// linux/capability.h, in the order of their numbers.
constexpr std::array<std::string_view, 41> kAll = {"CAP_CHOWN",
                                                   "CAP_DAC_OVERRIDE",
                                                   "CAP_DAC_READ_SEARCH",
                                                   "CAP_FOWNER",
                                                   "CAP_FSETID",
                                                   "CAP_KILL",
                                                   "CAP_SETGID",
                                                   "CAP_SETUID",
                                                   "CAP_SETPCAP",
                                                   "CAP_LINUX_IMMUTABLE",
                                                   "CAP_NET_BIND_SERVICE",
                                                   "CAP_NET_BROADCAST",
                                                   "CAP_NET_ADMIN",
                                                   "CAP_NET_RAW",
                                                   "CAP_IPC_LOCK",
                                                   "CAP_IPC_OWNER",
                                                   "CAP_SYS_MODULE",
                                                   "CAP_SYS_RAWIO",
                                                   "CAP_SYS_CHROOT",
                                                   "CAP_SYS_PTRACE",
                                                   "CAP_SYS_PACCT",
                                                   "CAP_SYS_ADMIN",
                                                   "CAP_SYS_BOOT",
                                                   "CAP_SYS_NICE",
                                                   "CAP_SYS_RESOURCE",
                                                   "CAP_SYS_TIME",
                                                   "CAP_SYS_TTY_CONFIG",
                                                   "CAP_MKNOD",
                                                   "CAP_LEASE",
                                                   "CAP_AUDIT_WRITE",
                                                   "CAP_AUDIT_CONTROL",
                                                   "CAP_SETFCAP",
                                                   "CAP_MAC_OVERRIDE",
                                                   "CAP_MAC_ADMIN",
                                                   "CAP_SYSLOG",
                                                   "CAP_WAKE_ALARM",
                                                   "CAP_BLOCK_SUSPEND",
                                                   "CAP_AUDIT_READ",
                                                   "CAP_PERFMON",
                                                   "CAP_BPF",
                                                   "CAP_CHECKPOINT_RESTORE"};

// What Docker gives a container that asks for nothing.
constexpr std::array<std::string_view, 14> kDefault = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE"};

std::string canonical(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (upper != "ALL" && !upper.starts_with("CAP_")) upper = "CAP_" + upper;
  return upper;
}

Result<std::set<std::string>> parse_names(const std::vector<std::string>& names, std::string_view option) {
  std::set<std::string> out;
  for (const std::string& name : names) {
    const std::string full = canonical(name);
    if (full != "ALL" && std::find(kAll.begin(), kAll.end(), full) == kAll.end()) {
      return invalid_argument("invalid " + std::string(option) + ": unknown capability: " + quote(full));
    }
    out.insert(full);
  }
  return out;
}

}  // namespace

std::span<const std::string_view> all_capabilities() {
  return kAll;
}

std::vector<std::string> capabilities_of_mask(uint64_t mask) {
  std::vector<std::string> out;
  for (size_t i = 0; i < kAll.size(); ++i) {
    if ((mask >> i & 1U) != 0) out.emplace_back(kAll[i]);
  }
  return out;
}

Result<CapabilitySet> resolve_capabilities(const api::HostConfig& host, bool privileged,
                                           const std::vector<std::string>& available) {
  POUCH_ASSIGN_OR_RETURN(const auto add,
                         parse_names(host.cap_add.value_or(std::vector<std::string>{}), "CapAdd"));
  POUCH_ASSIGN_OR_RETURN(const auto drop,
                         parse_names(host.cap_drop.value_or(std::vector<std::string>{}), "CapDrop"));
  CapabilitySet out;
  for (const std::string_view name : kAll) {
    const std::string text(name);
    bool wanted = std::find(kDefault.begin(), kDefault.end(), name) != kDefault.end();
    if (drop.contains("ALL")) wanted = false;
    if (add.contains("ALL")) wanted = true;
    if (drop.contains(text)) wanted = false;
    if (add.contains(text)) wanted = true;
    if (privileged) wanted = true;
    if (!wanted) continue;
    const bool have = std::find(available.begin(), available.end(), text) != available.end();
    (have ? out.names : out.missing).push_back(text);
  }
  // Only what was named is worth a word; "all" means all there is.
  std::erase_if(out.missing, [&](const std::string& name) { return !add.contains(name); });
  return out;
}

}  // namespace pouch::spec
