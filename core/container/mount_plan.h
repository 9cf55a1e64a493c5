#pragma once

#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/container/container_volumes.h"
#include "core/container/mount_rows.h"
#include "core/spec/mounts.h"

namespace pouch::container {

/// Mounts of another container whose VolumesFrom takes them over.
struct TakenMounts {
  spec::MountPlan own;         ///< of its HostConfig
  std::vector<MountRow> rows;  ///< its others
  bool read_only = false;
};

/// A new container's mounts beside the binds and tmpfs of its own, in order: those of others, its volumes and
/// images, its anonymous volumes. Where several are at one destination its own win, then the later ones.
/// Anonymous volumes have their names; drivers and images are still to be found.
std::vector<MountRow> plan_rows(const api::ContainerConfig& config, const api::HostConfig& host,
                                const spec::MountPlan& own, const std::vector<TakenMounts>& taken);

/// What the row's volume is to be.
WantedVolume wanted_volume(const MountRow& row);

/// Whether files of the image are to be in it when it is empty.
bool wants_copy(const MountRow& row);

/// For inspect; `source` is where the volume is on the host.
api::MountPoint mount_point_of(const MountRow& row, const std::string& source);

/// A bind of the row's volume at `source`.
spec::BindMount bind_of_volume(const MountRow& row, const std::string& source);

}  // namespace pouch::container
