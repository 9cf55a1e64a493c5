#include "core/spec/mounts.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "core/base/text.h"

namespace pouch::spec {
namespace {

constexpr std::array<std::string_view, 6> kPropagations = {"private", "rprivate", "slave",
                                                           "rslave",  "shared",   "rshared"};

bool is_propagation(std::string_view text) {
  return std::find(kPropagations.begin(), kPropagations.end(), text) != kPropagations.end();
}

// tmpfs(5), and what mount(8) knows of every file system.
bool is_tmpfs_option(std::string_view option) {
  static constexpr std::array<std::string_view, 7> kValued = {"size",      "mode",      "uid", "gid",
                                                              "nr_inodes", "nr_blocks", "mpol"};
  static constexpr std::array<std::string_view, 25> kFlags = {
      "defaults", "ro",       "rw",         "suid",       "nosuid",   "dev",     "nodev",
      "exec",     "noexec",   "sync",       "async",      "mand",     "dirsync", "nomand",
      "atime",    "noatime",  "diratime",   "nodiratime", "relatime", "private", "slave",
      "shared",   "rprivate", "norelatime", "strictatime"};
  const size_t equals = option.find('=');
  const auto has = [](const auto& list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  if (equals != std::string_view::npos) return has(kValued, option.substr(0, equals));
  return has(kFlags, option);
}

bool is_consistency(std::string_view text) {
  return text == "consistent" || text == "cached" || text == "delegated" || text == "default" || text.empty();
}

// "/a//b/../c/" -> "/a/c"; empty when not absolute.
std::string clean_path(std::string_view path) {
  if (path.empty() || path[0] != '/') return {};
  std::vector<std::string> kept;
  for (const std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!kept.empty()) kept.pop_back();
    } else {
      kept.push_back(part);
    }
  }
  return "/" + join(kept, "/");
}

Status apply_bind_mode(BindMount& mount, const std::string& bind) {
  bool have_rw = false;
  for (const std::string& word : split(mount.mode, ',')) {
    if (word == "ro" || word == "rw") {
      if (have_rw) return invalid_argument("invalid mode: " + mount.mode + ": ro or rw is given twice");
      have_rw = true;
      mount.read_only = word == "ro";
    } else if (is_propagation(word)) {
      if (!mount.propagation.empty()) {
        return invalid_argument("invalid mode: " + mount.mode + ": propagation is given twice");
      }
      mount.propagation = word;
    } else if (word == "z" || word == "Z") {
      return not_implemented("HostConfig.Binds: " + quote(bind) +
                             ": SELinux labels (z, Z) are not supported");
    } else if (word != "nocopy" && !is_consistency(word)) {  // nocopy means nothing for a folder of the host
      return invalid_argument("invalid mode: " + mount.mode);
    }
  }
  return {};
}

Result<BindMount> parse_bind(const std::string& bind) {
  const auto parts = split(bind, ':');
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || parts[1].empty()) {
    if (parts.size() == 1 && !bind.empty() && bind[0] == '/') {
      return not_implemented("HostConfig.Binds: " + quote(bind) + ": anonymous volumes are not supported");
    }
    return invalid_argument("invalid volume specification: '" + bind + "'");
  }
  if (parts[0][0] != '/') {
    return not_implemented("HostConfig.Binds: " + quote(bind) +
                           ": named volumes are not supported; give an absolute path");
  }
  BindMount mount;
  mount.source = clean_path(parts[0]);
  mount.destination = clean_path(parts[1]);
  mount.create_source = true;
  if (mount.destination.empty()) {
    return invalid_argument("invalid volume specification: '" + bind +
                            "': invalid mount config for type \"bind\": invalid mount path: '" + parts[1] +
                            "' mount path must be absolute");
  }
  if (mount.destination == "/") {
    return invalid_argument("invalid volume specification: '" + bind +
                            "': invalid mount config for type \"bind\": invalid specification: "
                            "destination can't be '/'");
  }
  if (parts.size() == 3) {
    mount.mode = parts[2];
    POUCH_RETURN_IF_ERROR(apply_bind_mode(mount, bind));
  }
  return mount;
}

Result<BindMount> bind_of(const api::Mount& mount) {
  BindMount out;
  out.source = clean_path(mount.source.value_or(""));
  out.destination = clean_path(mount.target.value_or(""));
  out.read_only = mount.read_only.value_or(false);
  if (out.source.empty()) {
    return invalid_argument("invalid mount config for type \"bind\": invalid mount path: '" +
                            mount.source.value_or("") + "' mount path must be absolute");
  }
  const api::BindOptions options = mount.bind_options.value_or(api::BindOptions{});
  out.propagation = options.propagation.value_or("");
  if (!out.propagation.empty() && !is_propagation(out.propagation)) {
    return invalid_argument("invalid propagation mode: " + quote(out.propagation));
  }
  out.recursive = !options.non_recursive.value_or(false);
  out.create_source = options.create_mountpoint.value_or(false);
  out.recursive_read_only = options.read_only_force_recursive.value_or(false);
  if (out.recursive_read_only && !out.read_only) {
    return invalid_argument("mount source must be read-only for BindOptions.ReadOnlyForceRecursive");
  }
  return out;
}

Result<TmpfsMount> tmpfs_of(const api::Mount& mount) {
  TmpfsMount out;
  out.destination = clean_path(mount.target.value_or(""));
  out.read_only = mount.read_only.value_or(false);
  if (!mount.source.value_or("").empty()) {
    return invalid_argument("invalid mount config for type \"tmpfs\": field Source must not be specified");
  }
  out.options = {"noexec", "nosuid", "nodev"};
  const api::TmpfsOptions options = mount.tmpfs_options.value_or(api::TmpfsOptions{});
  if (options.size_bytes.value_or(0) < 0)
    return invalid_argument("TmpfsOptions.SizeBytes must not be negative");
  if (options.size_bytes.value_or(0) > 0)
    out.options.push_back("size=" + std::to_string(*options.size_bytes));
  if (options.mode.value_or(0) > 0) {
    std::string octal;
    for (auto mode = static_cast<uint64_t>(*options.mode); mode > 0; mode /= 8) {
      octal.insert(octal.begin(), static_cast<char>('0' + mode % 8));
    }
    out.options.push_back("mode=" + octal);
  }
  for (const auto& option : options.options.value_or(std::vector<std::vector<std::string>>{})) {
    if (option.empty() || option.size() > 2)
      return invalid_argument("TmpfsOptions.Options: an entry is [name] or [name, value]");
    out.options.push_back(join(option, "="));
  }
  return out;
}

Status add_mount(const api::Mount& mount, MountPlan& plan) {
  const std::string type = mount.type.value_or("");
  const std::string target = mount.target.value_or("");
  if (clean_path(target).empty()) {
    return invalid_argument("invalid mount config for type \"" + type + "\": invalid mount path: '" + target +
                            "' mount path must be absolute");
  }
  if (clean_path(target) == "/") {
    return invalid_argument("invalid mount config for type \"" + type +
                            "\": invalid specification: destination can't be '/'");
  }
  if (!is_consistency(mount.consistency.value_or(""))) {
    return invalid_argument("HostConfig.Mounts: invalid Consistency " + quote(*mount.consistency));
  }
  if (type == "bind") {
    POUCH_ASSIGN_OR_RETURN(BindMount bind, bind_of(mount));
    plan.binds.push_back(std::move(bind));
    return {};
  }
  if (type == "tmpfs") {
    POUCH_ASSIGN_OR_RETURN(TmpfsMount tmpfs, tmpfs_of(mount));
    plan.tmpfs.push_back(std::move(tmpfs));
    return {};
  }
  if (type == "volume" || type == "image" || type == "npipe" || type == "cluster") {
    return not_implemented("HostConfig.Mounts: type " + quote(type) + " is not supported");
  }
  return invalid_argument("mount type unknown: " + quote(type));
}

Status check_destinations(const MountPlan& plan) {
  std::set<std::string> seen;
  const auto add = [&seen](const std::string& destination) {
    if (seen.insert(destination).second) return Status();
    return invalid_argument("Duplicate mount point: " + destination);
  };
  for (const BindMount& mount : plan.binds) POUCH_RETURN_IF_ERROR(add(mount.destination));
  for (const TmpfsMount& mount : plan.tmpfs) POUCH_RETURN_IF_ERROR(add(mount.destination));
  return {};
}

}  // namespace

Result<MountPlan> plan_mounts(const api::HostConfig& host) {
  MountPlan plan;
  for (const std::string& bind : host.binds.value_or(std::vector<std::string>{})) {
    POUCH_ASSIGN_OR_RETURN(BindMount mount, parse_bind(bind));
    plan.binds.push_back(std::move(mount));
  }
  for (const api::Mount& mount : host.mounts.value_or(std::vector<api::Mount>{})) {
    POUCH_RETURN_IF_ERROR(add_mount(mount, plan));
  }
  for (const auto& [path, options] : host.tmpfs.value_or(std::map<std::string, std::string>{})) {
    TmpfsMount mount{clean_path(path), {"noexec", "nosuid", "nodev"}, false, true};
    if (mount.destination.empty() || mount.destination == "/") {
      return invalid_argument("invalid mount path: '" + path + "' mount path must be absolute");
    }
    for (const std::string& option : split(options, ',')) {
      if (option.empty()) continue;
      if (!is_tmpfs_option(option)) return invalid_argument("invalid tmpfs option [" + quote(option) + "]");
      mount.options.push_back(option);
    }
    plan.tmpfs.push_back(std::move(mount));
  }
  POUCH_RETURN_IF_ERROR(check_destinations(plan));
  return plan;
}

std::vector<api::MountPoint> mount_points(const MountPlan& plan) {
  std::vector<api::MountPoint> out;
  for (const BindMount& mount : plan.binds) {
    api::MountPoint point;
    point.type = "bind";
    point.source = mount.source;
    point.destination = mount.destination;
    point.mode = mount.mode;
    point.rw = !mount.read_only;
    point.propagation = mount.propagation.empty() ? "rprivate" : mount.propagation;
    out.push_back(std::move(point));
  }
  for (const TmpfsMount& mount : plan.tmpfs) {
    if (mount.by_tmpfs_option) continue;  // Docker shows those in HostConfig.Tmpfs only
    api::MountPoint point;
    point.type = "tmpfs";
    point.destination = mount.destination;
    point.rw = !mount.read_only;
    out.push_back(std::move(point));
  }
  return out;
}

}  // namespace pouch::spec
