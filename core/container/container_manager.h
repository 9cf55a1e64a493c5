#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/api/exec.gen.h"
#include "core/api/stream.h"
#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/container/container_volumes.h"
#include "core/container/image_lookup.h"

namespace pouch {

struct EngineContext;

struct ContainerCounts {
  int64_t total = 0;
  int64_t running = 0;  ///< paused ones are not counted here
  int64_t paused = 0;
  int64_t stopped = 0;
};

/// A container as others may want to know it (image removal, usage).
struct ContainerUse {
  ContainerId id;
  std::string name;       ///< without slash
  std::string image_ref;  ///< as it was given at create
  Digest image_id;
  bool running = false;
};

/// All of container.* and exec.* (core/api/engine.gen.h has the contract of each), on the root of the
/// context. Thread-safe. Mutating work goes on at the context's executor when its caller gives up.
class ContainerManager {
 public:
  /// All must outlive the manager. Does nothing yet.
  ContainerManager(EngineContext& context, ImageLookup& images, ContainerNetworks& networks,
                   ContainerVolumes& volumes);
  ~ContainerManager();  ///< ends what is followed here; containers go on
  ContainerManager(const ContainerManager&) = delete;
  ContainerManager& operator=(const ContainerManager&) = delete;

  /// Finishes or undoes what dead owners left, compares the rows with containerd's tasks, and in the keeper's
  /// role starts to watch for the exits of all containers of the root. Call once, before the operations.
  Status open();
  /// The first part of open() again: for a process that stays (the keeper's role does it on every resync).
  Status reconcile(const Call& call);

  Result<StreamPtr> attach(const std::string& id, const api::ContainerAttachOptions& options,
                           const Call& call);
  Result<api::CommitResult> commit(const api::ContainerConfig& config,
                                   const api::ContainerCommitOptions& options, const Call& call);
  Result<api::ContainerCreateResult> create(const api::ContainerCreateConfig& config,
                                            const api::ContainerCreateOptions& options, const Call& call);
  Result<StreamPtr> export_rootfs(const std::string& id, const Call& call);
  Result<api::ContainerInspect> inspect(const std::string& id, const api::ContainerInspectOptions& options,
                                        const Call& call);
  Status kill(const std::string& id, const api::ContainerKillOptions& options, const Call& call);
  Result<std::vector<api::ContainerSummary>> list(const api::ContainerListOptions& options, const Call& call);
  Result<StreamPtr> logs(const std::string& id, const api::ContainerLogsOptions& options, const Call& call);
  Status remove(const std::string& id, const api::ContainerRemoveOptions& options, const Call& call);
  Status rename(const std::string& id, const api::ContainerRenameOptions& options, const Call& call);
  Status resize(const std::string& id, const api::ContainerResizeOptions& options, const Call& call);
  Status start(const std::string& id, const api::ContainerStartOptions& options, const Call& call);
  Status stop(const std::string& id, const api::ContainerStopOptions& options, const Call& call);
  Result<StreamPtr> wait(const std::string& id, const api::ContainerWaitOptions& options, const Call& call);

  Result<api::IdResult> exec_create(const std::string& id, const api::ExecConfig& config, const Call& call);
  Result<api::ExecInspect> exec_inspect(const std::string& id, const Call& call);
  Status exec_resize(const std::string& id, const api::ExecResizeOptions& options, const Call& call);
  Result<StreamPtr> exec_start(const std::string& id, const api::ExecStartConfig& config, const Call& call);

  /// Removes all containers and ends all execs that the session has made (core/store/session_objects.h).
  Status remove_session(const std::string& session, const Call& call);
  /// For system.info.
  Result<ContainerCounts> counts();
  /// All containers made from the image, those being created included; for image.remove and image.list.
  Result<std::vector<ContainerUse>> uses_of_image(const Digest& image_id);

  /// For the parts of this folder.
  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace pouch
