#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/api/volume.gen.h"
#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/database.h"

namespace pouch {

/// A volume that a container is to have.
struct WantedVolume {
  std::string name;    ///< of a new one without a name of its own: 64 hexadecimal digits
  std::string driver;  ///< "": the local one
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> labels;
};

/// One run of a container: who uses a volume. Before the first start the generation is 0.
struct VolumeUser {
  ContainerId container;
  int64_t generation = 0;
};

/// Opens a container's root folder, once; the descriptor stays the function's.
using OpenRootfs = std::function<Result<int>()>;

/// How the container manager sees volumes. Thread-safe. Those that take a session work in it and make no
/// transaction.
class ContainerVolumes {
 public:
  virtual ~ContainerVolumes() = default;

  /// Makes the volume where there is none of that name; the name of its driver. Its name is the user's.
  virtual Result<std::string> ensure(const WantedVolume& wanted, const std::string& session,
                                     const Call& call) = 0;
  /// Whether it is there and is not being removed.
  virtual Result<bool> is_there(store::Session& session, const std::string& name) = 0;

  /// Whether such a volume could be made: before insert_anonymous(), which asks nobody.
  virtual Status check(const WantedVolume& wanted, const Call& call) = 0;
  /// The row of an anonymous volume, beside its container's, which is being made; the name of its driver.
  virtual Result<std::string> insert_anonymous(store::Session& session, const WantedVolume& wanted) = 0;
  /// Makes what insert_anonymous() has written down.
  virtual Status make_anonymous(const std::string& name, const Call& call) = 0;
  /// It is made, in the transaction in which its container is.
  virtual Status settle_anonymous(store::Transaction& transaction, const std::string& name) = 0;

  /// Copies the folder `path` of a container's root, links not leaving it, into the volume if that is empty.
  /// InvalidArgument where it is no folder.
  virtual Status copy_up(const std::string& name, const VolumeUser& user, const OpenRootfs& open_rootfs,
                         const std::string& path, const Call& call) = 0;

  /// Where the volume is on the host. What has to be mounted is, until no run uses it any more.
  virtual Result<std::string> attach(const std::string& name, const VolumeUser& user, const Call& call) = 0;
  /// Where it is when nothing is mounted, for inspect; "" when nobody knows.
  virtual std::string mountpoint(store::Session& session, const std::string& name) = 0;

  /// Nobody uses it any more: it is gone for everybody, and remove_dropped() removes it.
  virtual Status drop(store::Transaction& transaction, const std::string& name) = 0;
  virtual Status remove_dropped(const std::string& name, const Call& call) = 0;
  /// Unmounts, in the background, what no run uses, and finishes what dead engines left.
  virtual void sweep_soon() = 0;
};

}  // namespace pouch
