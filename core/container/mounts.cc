#include <sys/stat.h>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/container/manager_impl.h"
#include "core/container/mount_plan.h"
#include "core/ctrd/snapshots.h"

// A container's volumes, its mounts of images, and what it takes over from other containers.

namespace pouch {

using container::ContainerRow;
using container::Ending;
using container::MountRow;
namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 60'000;

// A view of an image that a container mounts; removed with it.
std::string view_key(const ContainerId& id, size_t index) {
  return id.str() + "-mount-" + std::to_string(index);
}

// z and Z want labels where the kernel has SELinux; elsewhere they want nothing.
Status check_labels(const api::HostConfig& host) {
  struct stat info {};
  if (::stat("/sys/fs/selinux/enforce", &info) != 0) return {};
  for (const std::string& bind : host.binds.value_or(std::vector<std::string>{})) {
    const auto parts = split(bind, ':');
    for (const std::string& word : split(parts.size() == 3 ? parts[2] : "", ',')) {
      if (word != "z" && word != "Z") continue;
      return not_implemented("HostConfig.Binds: " + quote(bind) +
                             ": SELinux labels (z, Z) are not supported");
    }
  }
  return {};
}

Result<container::TakenMounts> mounts_to_take(store::Session& session, const std::string& entry) {
  POUCH_ASSIGN_OR_RETURN(const spec::MountSource source, spec::parse_volumes_from(entry));
  const auto row = container::find_container(session, source.container);
  if (row.code() == Code::kNotFound || (row.is_ok() && row->state == state::kCreating))
    return invalid_argument("No such container: " + source.container);
  if (!row.is_ok()) return row.status();
  POUCH_ASSIGN_OR_RETURN(const api::HostConfig host, row->host_config());
  container::TakenMounts out;
  out.read_only = source.read_only;
  POUCH_ASSIGN_OR_RETURN(out.own, spec::plan_mounts(host));
  POUCH_ASSIGN_OR_RETURN(out.rows, container::mounts_of_container(session, row->id));
  return out;
}

std::string subpath_of(const MountRow& row) {
  if (row.is_image()) return row.mount.image_options.value_or(api::ImageOptions{}).subpath.value_or("");
  return row.mount.volume_options.value_or(api::VolumeOptions{}).subpath.value_or("");
}

}  // namespace

Result<std::vector<MountRow>> ContainerManager::Impl::plan_mount_rows(const api::ContainerConfig& config,
                                                                      const api::HostConfig& host,
                                                                      const Call& call) {
  POUCH_RETURN_IF_ERROR(check_labels(host));
  POUCH_ASSIGN_OR_RETURN(const spec::MountPlan own, spec::plan_mounts(host));
  std::vector<container::TakenMounts> taken;
  if (host.volumes_from && !host.volumes_from->empty()) {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
    for (const std::string& entry : *host.volumes_from) {
      POUCH_ASSIGN_OR_RETURN(container::TakenMounts mounts, mounts_to_take(snapshot, entry));
      taken.push_back(std::move(mounts));
    }
  }
  std::vector<MountRow> rows = container::plan_rows(config, host, own, taken);
  for (MountRow& row : rows) {
    if (row.mount.type != "image" || row.is_image()) continue;
    POUCH_ASSIGN_OR_RETURN(const ImageForContainer image,
                           images.resolve(row.mount.source.value_or(""), call));
    row.image_id = image.id;
  }
  return rows;
}

Status ContainerManager::Impl::ensure_volumes(std::vector<MountRow>& rows, const std::string& session) {
  for (MountRow& row : rows) {
    if (!row.is_volume() || row.ending == Ending::kWithVolumes) continue;
    if (row.ending == Ending::kGoes) {
      POUCH_RETURN_IF_ERROR(volumes.check(container::wanted_volume(row), own_call(kStepMs)));
      continue;
    }
    POUCH_ASSIGN_OR_RETURN(row.driver,
                           volumes.ensure(container::wanted_volume(row), session, own_call(kStepMs)));
  }
  return {};
}

Status ContainerManager::Impl::insert_mount_rows(store::Transaction& transaction, const ContainerId& id,
                                                 std::vector<MountRow>& rows) {
  for (MountRow& row : rows) {
    if (!row.is_volume()) continue;
    if (row.ending == Ending::kGoes) {
      POUCH_ASSIGN_OR_RETURN(row.driver,
                             volumes.insert_anonymous(transaction, container::wanted_volume(row)));
      continue;
    }
    POUCH_ASSIGN_OR_RETURN(const bool is_there, volumes.is_there(transaction, row.volume));
    if (!is_there) return unavailable("volume " + row.volume + " has been removed");
  }
  return container::insert_mounts(transaction, id, rows);
}

Status ContainerManager::Impl::make_mounts(const ContainerRow& row, const std::vector<MountRow>& rows) {
  const Call call = own_call(kStepMs);
  UniqueFd rootfs;
  const auto open_rootfs = [&]() -> Result<int> {
    if (!rootfs.is_valid()) {
      POUCH_ASSIGN_OR_RETURN(rootfs, images.open_rootfs(row.snapshotter, row.snapshot_key, call));
    }
    return rootfs.get();
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    const MountRow& mount = rows[i];
    if (mount.is_volume() && mount.ending == Ending::kGoes)
      POUCH_RETURN_IF_ERROR(volumes.make_anonymous(mount.volume, call));
    if (container::wants_copy(mount)) {
      POUCH_RETURN_IF_ERROR(volumes.copy_up(mount.volume, {row.id, 0}, open_rootfs, mount.destination, call));
    }
    if (!mount.is_image()) continue;
    POUCH_ASSIGN_OR_RETURN(const ImageForContainer image, images.resolve(mount.image_id.str(), call));
    POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
    const ctrd::Labels labels{{"containerd.io/gc.root", Timestamp::now().to_rfc3339()},
                              {container::kSnapshotLabel, row.id.str()}};
    const auto view =
        client->snapshots().view(call, row.snapshotter, view_key(row.id, i), image.chain_id.str(), labels);
    if (!view.is_ok()) return view.status().prefix("mount image " + quote(mount.mount.source.value_or("")));
  }
  return {};
}

Status ContainerManager::Impl::settle_mounts(store::Transaction& transaction, const ContainerRow& row,
                                             const std::vector<MountRow>& rows) {
  for (const MountRow& mount : rows) {
    if (mount.is_volume() && mount.ending == Ending::kGoes)
      POUCH_RETURN_IF_ERROR(volumes.settle_anonymous(transaction, mount.volume));
  }
  if (rows.empty()) return {};
  return row.auto_remove ? container::set_endings(transaction, row.id, Ending::kWithVolumes, Ending::kGoes)
                         : container::set_endings(transaction, row.id, Ending::kGoes, Ending::kWithVolumes);
}

Result<std::string> ContainerManager::Impl::attach_image(container::StartJob& job, size_t index) {
  const Call call = own_call(kStepMs);
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  POUCH_ASSIGN_OR_RETURN(const auto view,
                         client->snapshots().mounts(call, job.row.snapshotter, view_key(job.row.id, index)));
  return job.staged->mount(view);
}

Status ContainerManager::Impl::attach_mounts(container::StartJob& job, spec::MountPlan& plan) {
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
    POUCH_ASSIGN_OR_RETURN(job.mounts, container::mounts_of_container(snapshot, job.row.id));
  }
  if (job.mounts.empty()) return {};
  job.staged = std::make_shared<container::StagedMounts>(
      container::staging_dir(context.run_dir(), job.row.id, job.row.generation));
  for (size_t i = 0; i < job.mounts.size(); ++i) {
    const MountRow& row = job.mounts[i];
    if (row.mount.type == "bind") {
      POUCH_ASSIGN_OR_RETURN(spec::BindMount bind, spec::bind_of(row.mount));
      plan.binds.push_back(std::move(bind));
      continue;
    }
    if (row.mount.type == "tmpfs") {
      POUCH_ASSIGN_OR_RETURN(spec::TmpfsMount tmpfs, spec::tmpfs_of(row.mount));
      plan.tmpfs.push_back(std::move(tmpfs));
      continue;
    }
    std::string place;
    if (row.is_image()) {
      POUCH_ASSIGN_OR_RETURN(place, attach_image(job, i));
    } else {
      POUCH_ASSIGN_OR_RETURN(place,
                             volumes.attach(row.volume, {job.row.id, job.row.generation}, own_call(kStepMs)));
    }
    if (const std::string subpath = subpath_of(row); !subpath.empty()) {
      POUCH_ASSIGN_OR_RETURN(place, job.staged->bind_below(place, subpath));
    }
    plan.binds.push_back(container::bind_of_volume(row, place));
  }
  return {};
}

Result<bool> ContainerManager::Impl::tell_mounts(store::Transaction& transaction, const ContainerId& id,
                                                 const std::string& action) {
  POUCH_ASSIGN_OR_RETURN(const auto rows, container::mounts_of_container(transaction, id));
  bool any = false;
  for (const MountRow& row : rows) {
    if (!row.is_volume()) continue;
    any = true;
    events::Event event;
    event.type = "volume";
    event.action = action;
    event.actor_id = row.volume;
    event.attributes = {{"driver", row.driver}, {"container", id.str()}};
    if (action == "mount") {
      event.attributes["destination"] = row.destination;
      event.attributes["read/write"] = row.is_read_only() ? "false" : "true";
      event.attributes["propagation"] = "";
    }
    POUCH_RETURN_IF_ERROR(context.events->append(transaction, std::move(event)).status());
  }
  return any;
}

Result<std::vector<std::string>> ContainerManager::Impl::release_mounts(store::Transaction& transaction,
                                                                        const ContainerId& id) {
  POUCH_ASSIGN_OR_RETURN(std::vector<std::string> ending, container::delete_mounts(transaction, id));
  for (const std::string& name : ending) POUCH_RETURN_IF_ERROR(volumes.drop(transaction, name));
  return ending;
}

void ContainerManager::Impl::remove_volumes(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const Status removed = volumes.remove_dropped(name, own_call(kStepMs));
    // The next sweep tries again.
    if (!removed.is_ok()) log_warning("container", "remove volume " + name + ": " + removed.message());
  }
}

Status ContainerManager::Impl::remove_views(const ContainerRow& row, const Call& call) {
  std::vector<MountRow> rows;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
    POUCH_ASSIGN_OR_RETURN(rows, container::mounts_of_container(snapshot, row.id));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].is_image()) continue;
    POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
    const Status removed = client->snapshots().remove(call, row.snapshotter, view_key(row.id, i));
    if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
  }
  return {};
}

Result<std::vector<api::MountPoint>> ContainerManager::Impl::mounts_of(store::Session& session,
                                                                       const ContainerId& id,
                                                                       const api::HostConfig& host) {
  std::vector<api::MountPoint> points;
  if (const auto plan = spec::plan_mounts(host); plan.is_ok()) points = spec::mount_points(*plan);
  POUCH_ASSIGN_OR_RETURN(const auto rows, container::mounts_of_container(session, id));
  for (const MountRow& row : rows) {
    const std::string source = row.is_volume() ? volumes.mountpoint(session, row.volume) : "";
    points.push_back(container::mount_point_of(row, source));
  }
  return points;
}

}  // namespace pouch
