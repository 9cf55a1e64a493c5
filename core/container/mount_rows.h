#pragma once

#include <string>
#include <vector>

#include "core/api/volume.gen.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/database.h"

// The rows of what containers mount beside the binds and tmpfs of their own HostConfig. Every function works
// in the session given and makes no transaction.

namespace pouch::container {

/// Whether a mount's volume goes with its container.
enum class Ending {
  kStays = 0,        ///< it has a name of its own
  kWithVolumes = 1,  ///< when the container is removed with its volumes
  kGoes = 2,         ///< unless another container has it, too
};

struct MountRow {
  std::string destination;
  std::string volume;  ///< "": it is none
  std::string driver;  ///< the volume's
  std::string mode;    ///< for inspect
  Digest image_id;     ///< of a mount of an image
  api::Mount mount;    ///< as asked for
  Ending ending = Ending::kStays;

  bool is_volume() const { return !volume.empty(); }
  bool is_image() const { return !image_id.str().empty(); }
  bool is_read_only() const { return mount.read_only.value_or(false); }
};

Status insert_mounts(store::Session& session, const ContainerId& id, const std::vector<MountRow>& rows);
/// In the order in which they were written.
Result<std::vector<MountRow>> mounts_of_container(store::Session& session, const ContainerId& id);
/// All that were to go and are kept with their container (kGoes) become kWithVolumes, or the other way.
Status set_endings(store::Session& session, const ContainerId& id, Ending from, Ending to);
/// Forgets the container's mounts; the volumes that end with it.
Result<std::vector<std::string>> delete_mounts(store::Session& session, const ContainerId& id);

}  // namespace pouch::container
