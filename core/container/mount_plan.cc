#include "core/container/mount_plan.h"

#include <algorithm>
#include <set>
#include <utility>

namespace pouch::container {
namespace {

// A later one takes the place of an earlier one.
void put(std::vector<MountRow>& rows, MountRow row) {
  std::erase_if(rows, [&](const MountRow& other) { return other.destination == row.destination; });
  rows.push_back(std::move(row));
}

void take(const TakenMounts& from, std::vector<MountRow>& rows) {
  const auto add = [&](MountRow row) {
    row.mode.clear();
    row.mount.read_only = row.is_read_only() || from.read_only;
    if (row.is_volume()) {
      if (!row.mount.volume_options) row.mount.volume_options.emplace();
      row.mount.volume_options->no_copy = true;
    }
    // Made by another: it stays while that one has it, and goes with the last that had it.
    if (row.ending == Ending::kGoes) row.ending = Ending::kWithVolumes;
    put(rows, std::move(row));
  };
  const auto add_plain = [&](api::Mount mount) {
    MountRow row;
    row.destination = *mount.target;
    row.mount = std::move(mount);
    add(std::move(row));
  };
  for (const spec::BindMount& bind : from.own.binds) add_plain(spec::to_mount(bind));
  for (const spec::TmpfsMount& tmpfs : from.own.tmpfs) {
    if (!tmpfs.by_tmpfs_option) add_plain(spec::to_mount(tmpfs));
  }
  for (const MountRow& row : from.rows) add(row);
}

MountRow row_of(const spec::NamedMount& named) {
  MountRow row;
  row.destination = *named.mount.target;
  row.mode = named.mode;
  row.mount = named.mount;
  if (named.mount.type != "volume") return row;
  row.volume = named.mount.source.value_or("");
  if (row.volume.empty()) {
    row.volume = new_object_id();
    row.ending = Ending::kGoes;
  }
  const api::VolumeOptions options = named.mount.volume_options.value_or(api::VolumeOptions{});
  row.driver = options.driver_config.value_or(api::VolumeDriverConfig{}).name.value_or("");
  if ((row.driver.empty() || row.driver == "local") && named.mode.empty())
    row.mode = "z";  // Moby's, whatever the kernel has
  return row;
}

MountRow anonymous_row(const std::string& destination, const std::string& driver) {
  MountRow row;
  row.destination = destination;
  row.volume = new_object_id();
  row.driver = driver;
  row.ending = Ending::kGoes;
  row.mount.type = "volume";
  row.mount.target = destination;
  return row;
}

}  // namespace

std::vector<MountRow> plan_rows(const api::ContainerConfig& config, const api::HostConfig& host,
                                const spec::MountPlan& own, const std::vector<TakenMounts>& taken) {
  std::vector<MountRow> rows;
  for (const TakenMounts& from : taken) take(from, rows);
  std::set<std::string> there;
  for (const spec::BindMount& bind : own.binds) there.insert(bind.destination);
  for (const spec::TmpfsMount& tmpfs : own.tmpfs) there.insert(tmpfs.destination);
  std::erase_if(rows, [&](const MountRow& row) { return there.contains(row.destination); });
  const std::string driver = host.volume_driver.value_or("");
  for (const spec::NamedMount& named : own.named) put(rows, row_of(named));
  for (const MountRow& row : rows) there.insert(row.destination);
  for (const auto& [path, empty] : config.volumes.value_or(std::map<std::string, api::Empty>{})) {
    const std::string destination = spec::clean_path("/" + path);
    if (!there.insert(destination).second) continue;
    rows.push_back(anonymous_row(destination, driver));
  }
  return rows;
}

WantedVolume wanted_volume(const MountRow& row) {
  WantedVolume out;
  out.name = row.volume;
  out.driver = row.driver;
  const api::VolumeOptions options = row.mount.volume_options.value_or(api::VolumeOptions{});
  out.labels = options.labels.value_or(std::map<std::string, std::string>{});
  const api::VolumeDriverConfig driver = options.driver_config.value_or(api::VolumeDriverConfig{});
  out.options = driver.options.value_or(std::map<std::string, std::string>{});
  return out;
}

bool wants_copy(const MountRow& row) {
  const api::VolumeOptions options = row.mount.volume_options.value_or(api::VolumeOptions{});
  return row.is_volume() && !options.no_copy.value_or(false);
}

api::MountPoint mount_point_of(const MountRow& row, const std::string& source) {
  api::MountPoint point;
  point.type = row.mount.type;
  point.destination = row.destination;
  point.rw = !row.is_read_only();
  point.mode = row.mode;
  if (row.is_volume()) {
    point.name = row.volume;
    point.driver = row.driver;
    point.source = source;
    return point;
  }
  point.source = row.mount.source.value_or("");
  if (row.mount.type == "bind") {
    const api::BindOptions options = row.mount.bind_options.value_or(api::BindOptions{});
    const std::string propagation = options.propagation.value_or("");
    point.propagation = propagation.empty() ? "rprivate" : propagation;
  }
  return point;
}

spec::BindMount bind_of_volume(const MountRow& row, const std::string& source) {
  spec::BindMount bind;
  bind.source = source;
  bind.destination = row.destination;
  bind.read_only = row.is_read_only();
  return bind;
}

}  // namespace pouch::container
