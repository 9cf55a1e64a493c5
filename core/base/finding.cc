#include "core/base/finding.h"

#include <grp.h>
#include <sys/stat.h>

#include <array>
#include <utility>

#include "core/base/text.h"

namespace pouch {
namespace {

// A JSON string. Messages are one line of quoted text, so that little needs escaping.
std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

// What stands between `before` and the end of the string that follows it in a document of json_text's making.
std::string string_after(std::string_view document, std::string_view before) {
  const size_t at = document.find(before);
  if (at == std::string_view::npos) return {};
  std::string out;
  for (size_t i = at + before.size(); i < document.size() && document[i] != '"'; ++i) {
    if (document[i] == '\\' && i + 1 < document.size()) ++i;
    out += document[i];
  }
  return out;
}

constexpr std::string_view kNameKey = "{\"finding\":\"";
constexpr std::string_view kFixKey = "\"fix\":\"";

std::string group_name(gid_t gid) {
  std::array<char, 4096> buffer{};
  group entry{};
  group* found = nullptr;
  if (::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return std::to_string(gid);
  }
  return found->gr_name;
}

}  // namespace

std::string_view finding_level_name(FindingLevel level) {
  if (level == FindingLevel::kOk) return "ok";
  return level == FindingLevel::kWarning ? "warning" : "error";
}

Status Finding::status(Code code, std::string_view prefix) const {
  std::string text = prefix.empty() ? message : std::string(prefix) + ": " + message;
  if (!fix.empty()) text += "; " + fix;
  return {code, std::move(text),
          std::string(kNameKey) + name + "\"," + std::string(kFixKey) + json_text(fix).substr(1) + "}"};
}

Finding finding_of(const Status& status, std::string_view name) {
  Finding out{std::string(name), FindingLevel::kError, status.message(), {}};
  const std::string& details = status.details_json();
  if (!details.starts_with(kNameKey)) return out;
  out.name = string_after(details, kNameKey);
  out.fix = string_after(details, kFixKey);
  const std::string tail = "; " + out.fix;
  if (out.message.ends_with(tail)) out.message.resize(out.message.size() - tail.size());
  return out;
}

namespace findings {

namespace {

Finding error(std::string_view name, std::string message, std::string fix) {
  return {std::string(name), FindingLevel::kError, std::move(message), std::move(fix)};
}

Finding warning(std::string_view name, std::string message, std::string fix) {
  return {std::string(name), FindingLevel::kWarning, std::move(message), std::move(fix)};
}

}  // namespace

Finding fine(std::string_view name, std::string message) {
  return {std::string(name), FindingLevel::kOk, std::move(message), {}};
}

Finding not_root(unsigned uid) {
  return error(
      kUser, "the local engine needs to be root, this is user " + std::to_string(uid),
      "run it as root (sudo), or use unix:///run/pouchd.sock for a running pouchd, or mock:// for tests");
}

Finding bad_folder(const std::string& path, std::string_view why, std::string fix) {
  return error(kRoot, "use folder " + quote(path) + ": " + std::string(why), std::move(fix));
}

Finding unsafe_file_system(const std::string& path, std::string_view file_system) {
  return error(kRoot,
               quote(path) + " would lie on " + std::string(file_system) +
                   ", where several processes cannot share it safely",
               "choose a root folder on a local file system (ext4, xfs, btrfs, tmpfs)");
}

Finding low_space(const std::string& path, std::string_view what, FindingLevel level) {
  return {std::string(kSpace), level,
          "the file system of " + quote(path) + " has only " + std::string(what) + " left",
          "remove what is not needed there, or choose another root folder"};
}

Finding unreachable_containerd(const std::string& socket, const Status& why) {
  return error(
      kContainerd, "reach containerd at " + quote(socket) + ": " + why.message(),
      why.code() == Code::kPermissionDenied
          ? "only root can use it"
          : "start containerd (systemctl start containerd), or name its socket when the root is made "
            "(containerd=…)");
}

Finding missing_containerd(std::string_view why) {
  return error(kContainerd, std::string(why),
               "apt-get install containerd, or name the socket of one that runs (containerd=…)");
}

Finding missing_shim(std::string_view shim, std::string_view why) {
  return error(kShim, "containerd does not find the shim " + quote(shim) + " (" + std::string(why) + ")",
               "apt-get install containerd, or put the shim on containerd's PATH");
}

Finding missing_runtime(std::string_view runtime, std::string_view why) {
  const bool is_package = runtime == "runc" || runtime == "crun";
  return error(kRuntime, "the runtime " + quote(runtime) + " is not there (" + std::string(why) + ")",
               (is_package ? "apt-get install " + std::string(runtime) : "install it on containerd's PATH") +
                   ", or choose another runtime (runtime=…)");
}

Finding missing_keeper(std::string_view why) {
  return error(kKeeper, std::string(why),
               "install pouch-keeper beside libpouch, or name it (keeper=…, or POUCH_KEEPER_PATH)");
}

Finding no_new_privileges() {
  return error("privileges",
               "this process has no_new_privs set, and a program started from it could not run containers",
               "start it without (setpriv --no-new-privs, systemd's NoNewPrivileges=)");
}

Finding no_overlay() {
  return error("overlayfs", "the kernel has no overlay file system", "modprobe overlay");
}

Finding no_cgroups() {
  return error("cgroups", "no control groups are mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
}

Finding no_hugetlb_hierarchy(FindingLevel level) {
  return {"crun", level,
          "crun refuses a host with version 1 control groups but without the hugetlb hierarchy",
          "mkdir /sys/fs/cgroup/hugetlb && mount -t cgroup -o hugetlb cgroup /sys/fs/cgroup/hugetlb"};
}

Finding needs_root(std::string_view name) {
  return warning(name, "only root can tell", "sudo pouch check");
}

Finding lacking_controllers(const std::string& names, bool unified) {
  return warning("cgroups", "no control group controller for " + names + ": such limits are not enforced",
                 unified ? "enable it in cgroup.subtree_control of /sys/fs/cgroup, or in the kernel"
                         : "mount it below /sys/fs/cgroup, or enable it in the kernel");
}

Finding no_nftables(std::string_view why) {
  return warning("nftables",
                 "the kernel's nf_tables cannot be used (" + std::string(why) +
                     "): only the networks none and host work",
                 "modprobe nf_tables");
}

Finding no_forwarding() {
  return warning("forwarding", "the host does not forward IPv4", "sysctl -w net.ipv4.ip_forward=1");
}

Finding no_resource_capability() {
  return warning("limits",
                 "this process lacks CAP_SYS_RESOURCE: containers cannot have higher ulimits, nor a lower "
                 "oom_score_adj, than it has",
                 "grant it (systemd's CapabilityBoundingSet=, docker run --cap-add SYS_RESOURCE)");
}

Finding bad_registries(std::string_view why) {
  return warning("registries", "no image can be pulled or pushed: " + std::string(why), "mend that file");
}

Finding few_descriptors(uint64_t limit) {
  return warning("limits", "this process may open " + std::to_string(limit) + " files only",
                 "ulimit -n 65536");
}

Finding silent_engine(const std::string& uri, std::string_view why) {
  return error(kSocket, "connect to " + uri + ": " + std::string(why),
               "start a pouchd that listens there (systemctl start pouchd), or use embed:// as root");
}

Finding forbidden_engine(const std::string& uri, const std::string& socket_path) {
  struct stat facts {};
  std::string fix = "ask for the rights of its owner";
  if (!socket_path.empty() && ::stat(socket_path.c_str(), &facts) == 0) {
    const bool by_group = (facts.st_mode & S_IWGRP) != 0 && facts.st_gid != 0;
    fix = by_group
              ? "join its group (sudo usermod -aG " + group_name(facts.st_gid) + " $USER, then log in again)"
              : "use sudo, or have pouchd give the socket to a group (pouchd --group NAME)";
  }
  return error(kSocket, "connect to " + uri + ": permission denied", std::move(fix));
}

}  // namespace findings
}  // namespace pouch
