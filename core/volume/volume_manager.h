#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/api/volume.gen.h"
#include "core/base/cancel.h"
#include "core/base/executor.h"
#include "core/base/status.h"
#include "core/base/sweeper.h"
#include "core/container/container_volumes.h"
#include "core/store/engine_context.h"
#include "core/sys/file.h"
#include "core/volume/driver.h"
#include "core/volume/local_driver.h"
#include "core/volume/records.h"

namespace pouch {

/// The volumes of the context's root: all of volume.* (core/api/engine.gen.h has the contract of each). A
/// volume is a row; its folder is made after the row and removed before it. Who uses what is rows, too.
/// Thread-safe.
class VolumeManager final : public ContainerVolumes {
 public:
  /// The context must outlive the manager. Does nothing yet.
  explicit VolumeManager(EngineContext& context);
  ~VolumeManager() override;  ///< waits for what runs in the background
  VolumeManager(const VolumeManager&) = delete;
  VolumeManager& operator=(const VolumeManager&) = delete;
  /// Waits for what runs; nothing begins any more.
  void close();

  Result<api::Volume> create(const api::VolumeCreateConfig& config, const Call& call);
  Result<api::VolumeListResult> list(const api::VolumeListOptions& options, const Call& call);
  Result<api::Volume> inspect(const std::string& name, const Call& call);
  Status remove(const std::string& name, const api::VolumeRemoveOptions& options, const Call& call);
  Result<api::VolumePruneResult> prune(const api::VolumePruneOptions& options, const Call& call);
  /// For system.df: the volumes that are folders of the engine's, with their bytes and users.
  Result<std::vector<api::Volume>> measure(const Call& call);
  /// Removes all volumes that the session has made; those that others' containers have stay.
  Status remove_session(const std::string& session, const Call& call);

  Result<std::string> ensure(const WantedVolume& wanted, const std::string& session,
                             const Call& call) override;
  Result<bool> is_there(store::Session& session, const std::string& name) override;
  Result<std::string> insert_anonymous(store::Session& session, const WantedVolume& wanted) override;
  Status check(const WantedVolume& wanted, const Call& call) override;
  Status make_anonymous(const std::string& name, const Call& call) override;
  Status settle_anonymous(store::Transaction& transaction, const std::string& name) override;
  Status copy_up(const std::string& name, const VolumeUser& user, const OpenRootfs& open_rootfs,
                 const std::string& path, const Call& call) override;
  Result<std::string> attach(const std::string& name, const VolumeUser& user, const Call& call) override;
  std::string mountpoint(store::Session& session, const std::string& name) override;
  Status drop(store::Transaction& transaction, const std::string& name) override;
  Status remove_dropped(const std::string& name, const Call& call) override;
  void sweep_soon() override;

  /// Unmounts what no run uses, and finishes or undoes what dead engines left half-done.
  Status sweep(const Call& call);

 private:
  // volume_manager.cc
  /// NotFound with Moby's text.
  Result<std::shared_ptr<volume::Driver>> driver_of(const std::string& name, const Call& call);
  /// The same without asking a plugin: null when it has not been asked yet.
  std::shared_ptr<volume::Driver> known_driver(const std::string& name);
  /// Of a new one. Without a name it gets one, and is anonymous as well as when that is said.
  Result<volume::VolumeRow> row_of(const WantedVolume& wanted, const volume::Driver& driver,
                                   bool is_anonymous = false);
  Result<volume::VolumeRow> load(const std::string& name);
  Result<volume::VolumeRow> load_settled(const std::string& name);
  Status append_event(store::Transaction& transaction, const volume::VolumeRow& row,
                      const std::string& action);
  api::Volume describe(const volume::VolumeRow& row);
  /// With where it is, which a plugin may have to be asked for.
  api::Volume describe_whole(const volume::VolumeRow& row, const Call& call);
  bool is_orphan(const std::string& owner) const;
  /// Whether nobody is at the change that its row tells of.
  bool is_left(const volume::VolumeRow& row) const;

  // operations.cc
  // foreign.cc
  /// What plugins have and no row knows; plugins that do not answer have none.
  std::vector<volume::VolumeRow> foreign_volumes(const Call& call);
  std::optional<volume::VolumeRow> find_foreign(const std::string& name, const Call& call);
  Status remove_foreign(const volume::VolumeRow& row, const Call& call);

  Result<volume::VolumeRow> make(WantedVolume wanted, const std::string& session);
  /// The row that is there already, or nothing when `wanted` was written down.
  Result<std::optional<volume::VolumeRow>> insert_new(const volume::VolumeRow& wanted,
                                                      const std::string& session, const Call& call);
  Status finish_create(const volume::VolumeRow& row, const Call& call);
  Status claim_removal(volume::VolumeRow& row, const Call& call);
  /// `force`: also where its driver is gone.
  Status remove_claimed(const volume::VolumeRow& row, const Call& call, bool force);
  Status finish_removal(const volume::VolumeRow& row, const Call& call, bool force = false);
  Status await_settled(const std::string& name, const Call& call);

  // attach.cc
  Status stage(const volume::VolumeRow& row, const VolumeUser& user, const Call& call);
  std::string lock_path(const std::string& name) const;
  Result<sys::FileLock> lock(const std::string& name, const Call& call);
  Status copy_into(const volume::VolumeRow& row, const ContainerId& user, int from, const std::string& place);
  Status replace(const volume::VolumeRow& row, int from);

  // recover.cc
  Status recover_volumes(const Call& call);
  Status recover_volume(const std::string& name, const Call& call);
  Status end_uses(const Call& call);
  Status end_use(const volume::UseRow& use, const Call& call);
  Status drop_stray_folders();

  /// Runs `work` on the executor; the caller is free when its call ends.
  template <class R>
  R detached(const Call& call, std::function<R()> work) {
    return run_detached<R>(*context_.executor, call,
                           [held = sweeper_.enter(), work = std::move(work)] { return work(); });
  }

  EngineContext& context_;
  const std::shared_ptr<volume::LocalDriver> local_;
  std::mutex plugins_mutex_;
  std::map<std::string, std::shared_ptr<volume::Driver>> plugins_;  ///< by name; under plugins_mutex_
  std::atomic<bool> has_looked_ = false;                            ///< for stray folders
  Sweeper sweeper_;                                                 ///< its keys are names
};

}  // namespace pouch
