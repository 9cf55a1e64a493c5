#include "core/spec/mounts.h"

#include <algorithm>
#include <array>
#include <optional>
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

// The third part of -v.
struct BindMode {
  bool read_only = false;
  ReadOnlyReach reach = ReadOnlyReach::kAllIfPossible;
  bool no_copy = false;
  std::string propagation;
};

// The words for reading and writing; "ro-…" and "rro" came with Moby 25.
std::optional<BindMode> access_of(const std::string& word) {
  if (word == "rw") return BindMode{};
  if (word == "ro") return BindMode{.read_only = true};
  if (word == "ro-non-recursive") return BindMode{.read_only = true, .reach = ReadOnlyReach::kTop};
  if (word == "rro" || word == "ro-force-recursive")
    return BindMode{.read_only = true, .reach = ReadOnlyReach::kAllOrFail};
  return std::nullopt;
}

Result<BindMode> parse_mode(const std::string& text) {
  BindMode mode;
  int counts[5] = {};  // of each kind of word at most one
  for (const std::string& word : split(text, ',')) {
    int kind = 4;
    if (const auto access = access_of(word)) {
      kind = 0;
      mode.read_only = access->read_only;
      mode.reach = access->reach;
    } else if (is_propagation(word)) {
      kind = 1;
      mode.propagation = word;
    } else if (word == "z" || word == "Z") {
      kind = 2;
    } else if (word == "nocopy") {
      kind = 3;
      mode.no_copy = true;
    } else if (!is_consistency(word)) {
      return invalid_argument("invalid mode: " + text);
    }
    if (!text.empty() && ++counts[kind] > 1) return invalid_argument("invalid mode: " + text);
  }
  return mode;
}

Status bad_bind(const std::string& bind, const std::string& why = {}) {
  return invalid_argument("invalid volume specification: '" + bind + "'" + (why.empty() ? "" : ": " + why));
}

Status check_target(const std::string& type, const std::string& target) {
  const std::string what = "invalid mount config for type \"" + type + "\": ";
  if (target.empty()) return invalid_argument(what + "field Target must not be empty");
  const std::string path = clean_path(target);
  if (path.empty())
    return invalid_argument(what + "invalid mount path: '" + target + "' mount path must be absolute");
  if (path == "/") return invalid_argument(what + "invalid specification: destination can't be '/'");
  return {};
}

// [source:]destination[:mode]
Status add_bind(const std::string& bind, const std::string& driver, MountPlan& plan) {
  const auto parts = split(bind, ':');
  if (parts.size() > 3 || parts[0].empty() || (parts.size() > 1 && parts[1].empty())) return bad_bind(bind);
  if (parts.size() == 2 && parse_mode(parts[1]).is_ok()) return bad_bind(bind);
  const std::string source = parts.size() == 1 ? "" : parts[0];
  const std::string& target = parts.size() == 1 ? parts[0] : parts[1];
  const std::string mode_text = parts.size() == 3 ? parts[2] : "";
  const bool is_path = !source.empty() && source[0] == '/';
  const char* const type = is_path ? "bind" : "volume";
  if (const Status checked = check_target(type, target); !checked.is_ok())
    return bad_bind(bind, checked.message());
  POUCH_ASSIGN_OR_RETURN(BindMode mode, parse_mode(mode_text));
  if (is_path) {
    BindMount mount;
    mount.source = clean_path(source);
    mount.destination = clean_path(target);
    mount.create_source = true;
    mount.mode = mode_text;
    mount.read_only = mode.read_only;
    mount.reach = mode.reach;
    mount.propagation = mode.propagation;
    plan.binds.push_back(std::move(mount));
    return {};
  }
  const std::string what = "invalid mount config for type \"volume\": ";
  if (!mode.propagation.empty()) return bad_bind(bind, what + "field BindOptions must not be specified");
  if (mode.reach != ReadOnlyReach::kAllIfPossible)
    return invalid_argument("mount mode " + quote(mode_text) +
                            " requires a bind mount: " + bad_bind(bind).message());
  if (source.empty() && mode.read_only)
    return bad_bind(bind, what + "must not set ReadOnly mode when using anonymous volumes");
  NamedMount named;
  named.mode = mode_text;
  named.mount.type = "volume";
  if (!source.empty()) named.mount.source = source;
  named.mount.target = clean_path(target);
  named.mount.read_only = mode.read_only;
  named.mount.volume_options.emplace().no_copy = mode.no_copy;
  if (!driver.empty()) named.mount.volume_options->driver_config.emplace().name = driver;
  plan.named.push_back(std::move(named));
  return {};
}

Status check_extra_fields(const api::Mount& mount, const std::string& type) {
  const std::pair<const char*, bool> fields[] = {
      {"BindOptions", mount.bind_options && type != "bind"},
      {"VolumeOptions", mount.volume_options && type != "volume"},
      {"ImageOptions", mount.image_options && type != "image"},
      {"TmpfsOptions", mount.tmpfs_options && type != "tmpfs"},
      {"ClusterOptions", mount.cluster_options && type != "cluster"}};
  for (const auto& [name, given] : fields) {
    if (!given) continue;
    return invalid_argument("invalid mount config for type \"" + type + "\": field " + name +
                            " must not be specified");
  }
  return {};
}

Status check_subpath(const std::string& type, const std::string& subpath) {
  if (subpath.empty()) return {};
  const auto parts = split(subpath, '/');
  const bool leaves = subpath[0] == '/' || std::find(parts.begin(), parts.end(), "..") != parts.end();
  if (!leaves) return {};
  return invalid_argument("invalid mount config for type \"" + type +
                          "\": subpath must be a relative path within the " + type);
}

Status add_named(const api::Mount& mount, MountPlan& plan) {
  NamedMount named;
  named.mount = mount;
  named.mount.target = clean_path(mount.target.value_or(""));
  const std::string type = mount.type.value_or("");
  const std::string what = "invalid mount config for type \"" + type + "\": ";
  const bool has_source = !mount.source.value_or("").empty();
  if (!has_source) named.mount.source.reset();
  if (type == "image") {
    if (!has_source) return invalid_argument(what + "field Source must not be empty");
    const api::ImageOptions options = mount.image_options.value_or(api::ImageOptions{});
    POUCH_RETURN_IF_ERROR(check_subpath(type, options.subpath.value_or("")));
    named.mount.read_only = true;
  } else {
    const api::VolumeOptions options = mount.volume_options.value_or(api::VolumeOptions{});
    POUCH_RETURN_IF_ERROR(check_subpath(type, options.subpath.value_or("")));
    if (!has_source && mount.read_only.value_or(false))
      return invalid_argument(what + "must not set ReadOnly mode when using anonymous volumes");
    if (!has_source && !options.subpath.value_or("").empty())
      return invalid_argument(what + "must not set Subpath when using anonymous volumes");
  }
  plan.named.push_back(std::move(named));
  return {};
}

Status add_mount(const api::Mount& mount, MountPlan& plan) {
  const std::string type = mount.type.value_or("");
  const std::string shown = type.empty() ? "volume" : type;
  POUCH_RETURN_IF_ERROR(check_target(shown, mount.target.value_or("")));
  POUCH_RETURN_IF_ERROR(check_extra_fields(mount, shown));
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
  if (type == "volume" || type == "image" || type.empty()) {
    api::Mount typed = mount;
    typed.type = shown;
    return add_named(typed, plan);
  }
  if (type == "npipe" || type == "cluster") {
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
  for (const NamedMount& named : plan.named) POUCH_RETURN_IF_ERROR(add(*named.mount.target));
  return {};
}

}  // namespace

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
  const bool is_flat = options.read_only_non_recursive.value_or(false);
  const bool is_forced = options.read_only_force_recursive.value_or(false);
  if (is_flat && is_forced)
    return invalid_argument("mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive");
  if (is_forced && !out.read_only) {
    return invalid_argument("mount source must be read-only for BindOptions.ReadOnlyForceRecursive");
  }
  if (is_flat) out.reach = ReadOnlyReach::kTop;
  if (is_forced) out.reach = ReadOnlyReach::kAllOrFail;
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

api::Mount to_mount(const BindMount& bind) {
  api::Mount out;
  out.type = "bind";
  out.source = bind.source;
  out.target = bind.destination;
  out.read_only = bind.read_only;
  api::BindOptions& options = out.bind_options.emplace();
  if (!bind.propagation.empty()) options.propagation = bind.propagation;
  options.non_recursive = !bind.recursive;
  options.create_mountpoint = bind.create_source;
  if (bind.reach == ReadOnlyReach::kTop) options.read_only_non_recursive = true;
  if (bind.reach == ReadOnlyReach::kAllOrFail) options.read_only_force_recursive = true;
  return out;
}

api::Mount to_mount(const TmpfsMount& tmpfs) {
  api::Mount out;
  out.type = "tmpfs";
  out.target = tmpfs.destination;
  out.read_only = tmpfs.read_only;
  std::vector<std::vector<std::string>>& options = out.tmpfs_options.emplace().options.emplace();
  for (const std::string& option : tmpfs.options) {
    if (option != "noexec" && option != "nosuid" && option != "nodev") options.push_back({option});
  }
  return out;
}

Result<MountSource> parse_volumes_from(const std::string& text) {
  if (text.empty()) return invalid_argument("volumes-from specification cannot be an empty string");
  const size_t colon = text.find(':');
  MountSource out;
  out.container = text.substr(0, colon);
  if (colon == std::string::npos) return out;
  const std::string mode_text = text.substr(colon + 1);
  const auto mode = parse_mode(mode_text);
  const bool has_reach = mode.is_ok() && mode->reach != ReadOnlyReach::kAllIfPossible;
  if (!mode.is_ok() || mode_text.empty() || !mode->propagation.empty() || mode->no_copy || has_reach)
    return invalid_argument("invalid mode: " + mode_text);
  out.read_only = mode->read_only;
  return out;
}

Result<MountPlan> plan_mounts(const api::HostConfig& host) {
  MountPlan plan;
  for (const std::string& bind : host.binds.value_or(std::vector<std::string>{})) {
    POUCH_RETURN_IF_ERROR(add_bind(bind, host.volume_driver.value_or(""), plan));
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
