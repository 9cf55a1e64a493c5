#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/byte_size.h"
#include "core/base/filters.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_state.h"

// Volumes of no bytes: names, options and who uses them.

namespace pouch {
namespace mock {
namespace {

constexpr const char* kAnonymousLabel = "com.docker.volume.anonymous";

using Texts = std::map<std::string, std::string>;

Status check_name(const std::string& name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const bool good = name.size() > 1 && is_word(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
                      return is_word(c) || c == '_' || c == '.' || c == '-';
                    });
  return good ? Status()
              : invalid_argument("create " + name + ": " + quote(name) + " is no name of a volume");
}

Status check_options(const std::string& name, const Texts& options) {
  for (const auto& [key, value] : options) {
    if (key != "type" && key != "o" && key != "device" && key != "size")
      return invalid_argument("create " + name + ": invalid option: " + quote(key));
  }
  if (const auto size = options.find("size"); size != options.end()) {
    const auto bytes = parse_byte_size(size->second);
    if (!bytes.is_ok()) return bytes.status().prefix("create " + name);
    if (*bytes > 0) return not_implemented("create " + name + ": quota size requested but no quota support");
  }
  if (options.contains("type") != options.contains("device") ||
      (options.contains("o") && !options.contains("device"))) {
    return invalid_argument("create " + name + ": missing required option");
  }
  return {};
}

api::MountPoint point_of(const api::Volume& volume, const std::string& destination, bool read_only,
                         const std::string& mode) {
  api::MountPoint point;
  point.type = "volume";
  point.name = volume.name;
  point.driver = volume.driver;
  point.source = volume.mountpoint;
  point.destination = destination;
  point.rw = !read_only;
  point.mode = mode;
  return point;
}

// A later one takes the place of an earlier one.
void put(std::vector<api::MountPoint>& mounts, api::MountPoint point) {
  std::erase_if(mounts, [&](const api::MountPoint& other) { return other.destination == point.destination; });
  mounts.push_back(std::move(point));
}

constexpr std::array<std::string_view, 4> kListKeys{"dangling", "driver", "label", "name"};
constexpr std::array<std::string_view, 3> kPruneKeys{"all", "label", "label!"};

bool is_labelled(const api::Volume& volume, const std::string& wanted) {
  return volume.labels.has_value() && has_label(*volume.labels, wanted);
}

bool is_true(const std::string& value) {
  return value == "true" || value == "1";
}

Status check_truth(const FilterMap& filters, const std::string& key) {
  const auto at = filters.find(key);
  if (at == filters.end()) return {};
  for (const std::string& value : at->second) {
    if (!is_true(value) && value != "false" && value != "0")
      return invalid_argument("Invalid filter '" + key + "=[" + value + "]'");
  }
  return {};
}

Result<bool> is_listed(const api::Volume& volume, const FilterMap& filters, bool is_used) {
  POUCH_RETURN_IF_ERROR(check_filter_keys(filters, kListKeys));
  POUCH_RETURN_IF_ERROR(check_truth(filters, "dangling"));
  return passes_one(filters, "name",
                    [&](const std::string& value) { return volume.name.find(value) != std::string::npos; }) &&
         passes_one(filters, "driver", [&](const std::string& value) { return volume.driver == value; }) &&
         passes_all(filters, "label", [&](const std::string& value) { return is_labelled(volume, value); }) &&
         passes_one(filters, "dangling", [&](const std::string& value) { return is_true(value) != is_used; });
}

Result<bool> is_pruned(const api::Volume& volume, const FilterMap& filters) {
  POUCH_RETURN_IF_ERROR(check_filter_keys(filters, kPruneKeys));
  POUCH_RETURN_IF_ERROR(check_truth(filters, "all"));
  const bool is_anonymous = is_labelled(volume, kAnonymousLabel);
  const auto all = filters.find("all");
  const bool wants_all = all != filters.end() && std::ranges::any_of(all->second, is_true);
  return (wants_all || is_anonymous) &&
         passes_all(filters, "label", [&](const std::string& value) { return is_labelled(volume, value); }) &&
         passes_all(filters, "label!", [&](const std::string& value) { return !is_labelled(volume, value); });
}

}  // namespace

Result<api::Volume*> State::ensure_volume(const api::VolumeCreateConfig& config, const std::string& session) {
  const std::string given = config.name.value_or("");
  const std::string name = given.empty() ? new_object_id() : given;
  const std::string driver = config.driver.value_or("").empty() ? "local" : *config.driver;
  if (driver != "local") {
    return not_found("create " + name + ": error looking up volume plugin " + driver + ": plugin " +
                     quote(driver) + " not found");
  }
  if (const auto at = volumes.find(name); at != volumes.end()) return &at->second;
  POUCH_RETURN_IF_ERROR(check_name(name));
  POUCH_RETURN_IF_ERROR(check_options(name, config.driver_opts.value_or(Texts{})));
  api::Volume& made = volumes[name];
  made.name = name;
  made.driver = driver;
  made.mountpoint = "/mock/volumes/" + name + "/_data";
  made.created_at = Timestamp::now();
  made.scope = "local";
  if (config.labels && !config.labels->empty()) made.labels = *config.labels;
  if (config.driver_opts && !config.driver_opts->empty()) made.options = *config.driver_opts;
  if (given.empty()) {
    if (!made.labels.has_value()) made.labels = Texts{};
    (*made.labels)[kAnonymousLabel] = "";
  }
  add_maker("volume", name, session);
  add_event("volume", "create", name, {{"driver", driver}});
  return &made;
}

std::vector<std::string> State::users_of_volume(const std::string& name) const {
  std::vector<std::string> ids;
  for (const auto& [id, container] : containers) {
    const bool has = std::any_of(container->mounts.begin(), container->mounts.end(),
                                 [&](const api::MountPoint& mount) { return mount.name == name; });
    if (has) ids.push_back(id);
  }
  return ids;
}

void State::remove_volume(const std::string& name) {
  const auto at = volumes.find(name);
  if (at == volumes.end()) return;
  add_event("volume", "destroy", name, {{"driver", at->second.driver}});
  makers.erase("volume " + name);
  volumes.erase(at);
}

Status State::add_volumes(Container& container, const std::string& session) {
  const api::HostConfig& host = container.host;
  const auto add = [&](const api::Mount& mount, const std::string& mode) -> Status {
    api::VolumeCreateConfig config;
    config.name = mount.source;
    config.driver = host.volume_driver;
    POUCH_ASSIGN_OR_RETURN(const api::Volume* volume, ensure_volume(config, session));
    if (mount.source.value_or("").empty()) container.own_volumes.insert(volume->name);
    put(container.mounts,
        point_of(*volume, mount.target.value_or(""), mount.read_only.value_or(false), mode));
    return {};
  };
  for (const std::string& entry : host.volumes_from.value_or(std::vector<std::string>{})) {
    const bool read_only = entry.ends_with(":ro");
    const auto other = find_container(entry.substr(0, entry.find(':')));
    if (!other.is_ok()) return invalid_argument(other.status().message());
    for (api::MountPoint point : (*other)->mounts) {
      point.rw = point.rw && !read_only;
      point.mode.clear();
      put(container.mounts, std::move(point));
    }
    container.own_volumes.insert((*other)->own_volumes.begin(), (*other)->own_volumes.end());
  }
  for (const std::string& bind : host.binds.value_or(std::vector<std::string>{})) {
    const auto parts = split(bind, ':');
    if (parts.size() < 2 || parts[0].empty() || parts[0][0] == '/')
      continue;  // of the host: the mock has none
    api::Mount mount;
    mount.source = parts[0];
    mount.target = parts[1];
    mount.read_only = parts.size() > 2 && parts[2].find("ro") != std::string::npos;
    POUCH_RETURN_IF_ERROR(add(mount, parts.size() > 2 ? parts[2] : "z"));
  }
  for (const api::Mount& mount : host.mounts.value_or(std::vector<api::Mount>{})) {
    if (mount.type.value_or("volume") == "volume") POUCH_RETURN_IF_ERROR(add(mount, "z"));
  }
  for (const auto& [path, empty] : container.config.volumes.value_or(std::map<std::string, api::Empty>{})) {
    const bool is_taken =
        std::any_of(container.mounts.begin(), container.mounts.end(),
                    [&](const api::MountPoint& mount) { return mount.destination == path; });
    api::Mount mount;
    mount.target = path;
    if (!is_taken) POUCH_RETURN_IF_ERROR(add(mount, ""));
  }
  return {};
}

void State::drop_volumes(const Container& container, bool own) {
  if (!own) return;
  for (const std::string& name : container.own_volumes) {
    if (users_of_volume(name).empty()) remove_volume(name);
  }
}

}  // namespace mock

Result<api::Volume> MockEngine::volume_create(const api::VolumeCreateConfig& config, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  if (config.cluster_volume_spec) return not_implemented("ClusterVolumeSpec is not supported");
  const std::lock_guard lock(state_->mutex);
  POUCH_RETURN_IF_ERROR(state_->check_session(call.session));
  POUCH_ASSIGN_OR_RETURN(const api::Volume* made, state_->ensure_volume(config, call.session));
  return *made;
}

Result<api::Volume> MockEngine::volume_inspect(const std::string& name, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::lock_guard lock(state_->mutex);
  const auto at = state_->volumes.find(name);
  if (at == state_->volumes.end()) return not_found("get " + name + ": no such volume");
  return at->second;
}

Result<api::VolumeListResult> MockEngine::volume_list(const api::VolumeListOptions& options,
                                                      const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::lock_guard lock(state_->mutex);
  std::vector<api::Volume> volumes;
  for (const auto& [name, volume] : state_->volumes) {
    const bool is_used = !state_->users_of_volume(name).empty();
    POUCH_ASSIGN_OR_RETURN(const bool listed,
                           mock::is_listed(volume, options.filters.value_or(FilterMap{}), is_used));
    if (listed) volumes.push_back(volume);
  }
  // What is wrong is wrong without volumes, too.
  POUCH_RETURN_IF_ERROR(mock::is_listed({}, options.filters.value_or(FilterMap{}), false).status());
  api::VolumeListResult out;
  out.volumes = std::move(volumes);
  return out;
}

Status MockEngine::volume_remove(const std::string& name, const api::VolumeRemoveOptions& options,
                                 const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::lock_guard lock(state_->mutex);
  if (!state_->volumes.contains(name))
    return options.force.value_or(false) ? Status() : not_found("get " + name + ": no such volume");
  const auto users = state_->users_of_volume(name);
  if (!users.empty()) return conflict("remove " + name + ": volume is in use - [" + join(users, ", ") + "]");
  state_->remove_volume(name);
  return {};
}

Result<api::VolumePruneResult> MockEngine::volume_prune(const api::VolumePruneOptions& options,
                                                        const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const auto filters = options.filters.value_or(FilterMap{});
  POUCH_RETURN_IF_ERROR(mock::is_pruned({}, filters).status());
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> names;
  for (const auto& [name, volume] : state_->volumes) {
    POUCH_ASSIGN_OR_RETURN(const bool is_due, mock::is_pruned(volume, filters));
    if (is_due && state_->users_of_volume(name).empty()) names.push_back(name);
  }
  for (const std::string& name : names) state_->remove_volume(name);
  api::VolumePruneResult out;
  if (!names.empty()) out.volumes_deleted = std::move(names);
  state_->add_event("volume", "prune", "", {{"reclaimed", "0"}});
  return out;
}

}  // namespace pouch
