#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/executor.h"
#include "core/container/background.h"
#include "core/container/container_manager.h"
#include "core/container/container_networks.h"
#include "core/container/container_volumes.h"
#include "core/container/mount_rows.h"
#include "core/container/records.h"
#include "core/container/runtime_features.h"
#include "core/container/staged_mounts.h"
#include "core/container/task_remover.h"
#include "core/ctrd/client.h"
#include "core/ctrd/tasks.h"
#include "core/events/event_log.h"
#include "core/io/keeper_client.h"
#include "core/spec/oci_spec.h"
#include "core/store/engine_context.h"

// The container manager's parts, one .cc file each: create, mounts, start, exit, stop, remove, query, wait,
// logs, attach, exec, recover, exit_watch.

namespace pouch {

namespace sys {
struct Shim;
}

namespace container {

class AttachPump;
class ExecRun;
class ExitWatch;
struct Listing;

/// Names one run of one process.
struct ProcessKey {
  ContainerId container;
  int64_t generation = 0;
  ExecId exec;  ///< empty: the first process
  friend bool operator<(const ProcessKey& a, const ProcessKey& b) {
    return std::tie(a.container.str(), a.generation, a.exec.str()) <
           std::tie(b.container.str(), b.generation, b.exec.str());
  }
};

/// What a container is in the middle of. A later one of the same container is another's affair.
struct Transition {
  ContainerId container;
  int64_t generation = 0;
  std::string state;  ///< starting, exiting, …
  friend bool operator<(const Transition& a, const Transition& b) {
    return std::tie(a.container.str(), a.generation, a.state) <
           std::tie(b.container.str(), b.generation, b.state);
  }
};

/// A container on its way from created or exited to running.
struct StartJob {
  ContainerRow row;            ///< as claimed: state starting, the new generation
  std::string previous_state;  ///< where it goes back to on failure
  api::ContainerConfig config;
  api::HostConfig host;
  NetworkPlan network;
  std::vector<MountRow> mounts;          ///< beside its own binds and tmpfs
  std::shared_ptr<StagedMounts> staged;  ///< of its mounts, while the runtime has not its own
  bool has_record = false;               ///< containerd's container record was made
  bool has_task = false;
};

/// A row, and the number of the newest event when it was read: follow from there and nothing is missed.
struct SeenContainer {
  ContainerRow row;
  int64_t seq = 0;
};

using Attributes = std::map<std::string, std::string>;

/// On the snapshot that is a container's root filesystem: its id.
inline constexpr const char* kSnapshotLabel = "io.pouch.container";
/// On the destroy event of a container that AutoRemove took after a failed start, for those who wait.
inline constexpr const char* kFailedStartAttribute = "io.pouch.exit_code";

}  // namespace container

struct ContainerManager::Impl {
  Impl(EngineContext& engine, ImageLookup& lookup, ContainerNetworks& its_networks,
       ContainerVolumes& its_volumes);
  ~Impl();

  // create.cc
  Result<api::ContainerCreateResult> create(const api::ContainerCreateConfig& request,
                                            const api::ContainerCreateOptions& options, const Call& call);
  struct CreatePlan;
  Result<CreatePlan> plan_create(const api::ContainerCreateConfig& request, const std::string& platform,
                                 const Call& call);
  Status insert_with_volumes(CreatePlan& plan, const std::string& name);
  Status insert_named(CreatePlan& plan, const std::string& name);
  Status finish_create(const CreatePlan& plan);
  void undo_create(const container::ContainerRow& row);
  Result<std::vector<std::string>> spec_warnings(const CreatePlan& plan);

  // mounts.cc
  /// Of a new container; names, drivers and images are looked up, nothing is made.
  Result<std::vector<container::MountRow>> plan_mount_rows(const api::ContainerConfig& config,
                                                           const api::HostConfig& host, const Call& call);
  /// Makes volumes with names of their own that are not there.
  Status ensure_volumes(std::vector<container::MountRow>& rows, const std::string& session);
  /// Beside the container's row. Unavailable: a volume has gone since; make it again.
  Status insert_mount_rows(store::Transaction& transaction, const ContainerId& id,
                           std::vector<container::MountRow>& rows);
  /// Makes what the rows tell of: anonymous volumes, files in empty ones, views of images.
  Status make_mounts(const container::ContainerRow& row, const std::vector<container::MountRow>& rows);
  Status settle_mounts(store::Transaction& transaction, const container::ContainerRow& row,
                       const std::vector<container::MountRow>& rows);
  /// Adds what the rows tell of to the mounts of a start.
  Status attach_mounts(container::StartJob& job, spec::MountPlan& plan);
  Result<std::string> attach_image(container::StartJob& job, size_t index);
  /// Events of volumes; whether there are any volumes.
  Result<bool> tell_mounts(store::Transaction& transaction, const ContainerId& id, const std::string& action);
  /// The container goes, in the transaction: the names of volumes that go with it, for remove_volumes().
  Result<std::vector<std::string>> release_mounts(store::Transaction& transaction, const ContainerId& id);
  void remove_volumes(const std::vector<std::string>& names);
  Status remove_views(const container::ContainerRow& row, const Call& call);
  /// For inspect and lists.
  Result<std::vector<api::MountPoint>> mounts_of(store::Session& session, const ContainerId& id,
                                                 const api::HostConfig& host);

  // commit.cc
  Result<api::CommitResult> commit(const api::ContainerConfig& wanted,
                                   const api::ContainerCommitOptions& options, const Call& call);
  Result<StreamPtr> export_rootfs(const std::string& reference, const Call& call);

  // start.cc
  Status start(const std::string& reference, const api::ContainerStartOptions& options, const Call& call);
  Status start_now(const std::string& reference, const Call& call);
  Result<container::StartJob> claim_start(const std::string& reference, const Call& call);
  Status launch(container::StartJob& job);
  Result<ctrd::ContainerRecord> container_record(container::StartJob& job,
                                                 const std::vector<ctrd::Mount>& rootfs);
  Status create_record(container::StartJob& job, const ctrd::ContainerRecord& record);
  Status create_task(container::StartJob& job, const std::vector<ctrd::Mount>& rootfs,
                     const io::StdioPaths& stdio, uint32_t& pid);
  container::RuntimeUse runtime_use(const container::ContainerRow& row) const;
  Status task_failure(const container::StartJob& job, const Status& why) const;
  Status commit_running(const container::StartJob& job, uint32_t pid);
  Status undo_start(container::StartJob& job, const Status& why);
  spec::SpecInput spec_input(const ContainerId& id, const api::ContainerConfig& config,
                             const api::HostConfig& host) const;
  const spec::HostFacts& facts();

  // exit.cc
  void watch_process(const container::ProcessKey& key);
  void forget_process(const container::ProcessKey& key);
  void on_process_exit(const container::ProcessKey& key, const Result<ctrd::ExitInfo>& exit);
  void look_again(const container::ProcessKey& key);
  /// When the exit is known and the row runs: does all that an end needs. Whoever claims the row does it.
  void handle_exit(const container::ProcessKey& key);
  /// Notes the exit, too: with the task it would be gone if we died before the end is recorded.
  Result<std::optional<container::ContainerRow>> claim_exit(const container::ProcessKey& key,
                                                            const std::string& expected_owner,
                                                            const std::optional<ctrd::ExitInfo>& exit);
  void release_exit(const container::ProcessKey& key, const std::optional<ctrd::ExitInfo>& exit);
  /// Drains the output, removes the task, then commit_exit().
  /// `exit`: as far as it is known; more may become known on the way.
  Status finish_exit(const container::ContainerRow& row, std::optional<ctrd::ExitInfo>& exit);
  /// The row is exiting and ours: records the end; AutoRemove.
  Status commit_exit(const container::ContainerRow& row, const std::optional<ctrd::ExitInfo>& exit);
  std::optional<ctrd::ExitInfo> known_exit(const container::ProcessKey& key);

  // stop.cc
  Status stop(const std::string& reference, const api::ContainerStopOptions& options, const Call& call);
  Status kill(const std::string& reference, const api::ContainerKillOptions& options, const Call& call);
  Status stop_now(const container::SeenContainer& seen, int signal, int64_t seconds);
  /// NotFound: it has ended.
  Status send_signal(const container::ContainerRow& row, int signal, bool all);
  /// Ok when the run that `seen` shows has ended; DeadlineExceeded else.
  Status await_exit(const container::SeenContainer& seen, Deadline deadline);
  /// The same for the container's removal.
  Status await_removal(const container::SeenContainer& seen, Deadline deadline);
  /// As see(), once no start is under way.
  Result<container::SeenContainer> see_started(const std::string& reference);
  Status kill_and_wait(const container::SeenContainer& seen);

  // remove.cc
  Status remove(const std::string& reference, const api::ContainerRemoveOptions& options, const Call& call);
  Status rename(const std::string& reference, const std::string& name, const Call& call);
  /// What remove_now() does beside removing.
  struct Removal {
    bool force = false;
    bool volumes = false;         ///< those without a name of their own go, too
    container::Attributes extra;  ///< of the event
  };
  Status remove_now(const std::string& reference, const Removal& how);
  Result<container::ContainerRow> claim_remove(const std::string& reference, const Removal& how);
  /// The row is in state removing and ours.
  Status remove_claimed(const container::ContainerRow& row, const container::Attributes& extra = {});
  Status clear_container(const container::ContainerRow& row);
  Status record_removal(const container::ContainerRow& row, const Status& cleared,
                        const container::Attributes& extra);

  // session.cc
  Status remove_session(const std::string& session, const Call& call);
  Status remove_of_session(const std::string& session, const ContainerId& id);
  Status end_session_execs(const std::string& session);

  // query.cc
  Result<api::ContainerInspect> inspect(const std::string& reference,
                                        const api::ContainerInspectOptions& options, const Call& call);
  Result<std::vector<api::ContainerSummary>> list(const api::ContainerListOptions& options, const Call& call);
  Result<container::Listing> prepare_list(const api::ContainerListOptions& options, const Call& call);
  Result<std::optional<api::ContainerSummary>> summarize(container::Listing& listing,
                                                         const container::ContainerRow& row,
                                                         const Call& call);
  std::string shown_image(container::Listing& listing, const container::ContainerRow& row, const Call& call);
  Status measure(const container::ContainerRow& row, const Call& call, std::optional<int64_t>& written,
                 std::optional<int64_t>& whole);

  // wait.cc
  Result<StreamPtr> wait(const std::string& reference, const api::ContainerWaitOptions& options);

  // logs.cc
  Result<StreamPtr> logs(const std::string& reference, const api::ContainerLogsOptions& options);

  // attach.cc
  Result<StreamPtr> attach(const std::string& reference, const api::ContainerAttachOptions& options,
                           const Call& call);
  Result<StreamPtr> start_attach(const std::shared_ptr<container::AttachPump>& pump,
                                 const container::SeenContainer& seen,
                                 const api::ContainerAttachOptions& options, const io::AttachSpec& spec);

  // resize.cc
  Status resize(const std::string& reference, int64_t rows, int64_t columns, const Call& call);
  Status exec_resize(const std::string& id, int64_t rows, int64_t columns, const Call& call);
  /// Once no start of it is to come or under way, or the deadline has passed.
  Result<container::ExecRow> see_started_exec(const std::string& id, Deadline deadline);
  Status resize_pty(const ContainerId& id, const ExecId& exec, int64_t rows, int64_t columns);

  // exec.cc
  Result<api::IdResult> exec_create(const std::string& reference, const api::ExecConfig& config,
                                    const Call& call);
  Result<api::ExecInspect> exec_inspect(const std::string& id);
  Result<StreamPtr> exec_start(const std::string& id, const api::ExecStartConfig& config, const Call& call);
  Result<std::shared_ptr<container::ExecRun>> claim_exec(const std::string& id,
                                                         const api::ExecStartConfig& config);
  Status launch_exec(container::ExecRun& run);
  Status commit_exec_running(const container::ExecRun& run, uint32_t pid);
  void fail_exec(const container::ExecRun& run, const Status& why, int64_t exit_code);
  void handle_exec_exit(const container::ProcessKey& key);
  void finish_exec(const container::ExecRow& row, int64_t exit_code);
  Result<std::string> exec_process(const container::ExecRun& run);

  // recover.cc
  using Tasks = std::map<std::string, ctrd::TaskInfo>;  ///< first processes by container
  Status reconcile(const Call& call);
  Result<Tasks> list_tasks(const Call& call);
  void recover_row(const container::ContainerRow& row, const Tasks* tasks);
  void recover_create(const container::ContainerRow& row);
  Status forget_creating(const ContainerId& id);
  void recover_start(const container::ContainerRow& row, const ctrd::TaskInfo* task);
  void recover_running(const container::ContainerRow& row, const ctrd::TaskInfo* task);
  void recover_exec(const container::ExecRow& row);
  /// Takes the row from a dead owner; false when somebody else did.
  bool take_over(container::ContainerRow& row);
  /// Logs a failure in a transition, and has that recovered later.
  void try_again_if(const std::string& what, const Status& failure, const container::ContainerRow& row,
                    std::string_view transition);
  /// Nothing about the row needs a look at containerd.
  bool is_well(const container::ContainerRow& row) const;
  /// Looks at one container and its task and does what is due.
  void recover_container(const ContainerId& id);
  void drop_stray_tasks(const Tasks& tasks);
  /// Removes containers' folders that no row knows.
  void drop_stray_folders();
  /// Removes containers' snapshots that no row knows.
  Status drop_stray_snapshots();
  void drop_stray_snapshots_soon();

  // stray_shims.cc
  /// Ends shims that containerd has lost, and removes what is theirs: now and for some seconds, since one may
  /// still be on its way.
  void drop_stray_shims_soon();
  /// Where a shim was killed, the container's control group may outlive it.
  void drop_stray_cgroup_soon(const ContainerId& id);
  void drop_stray_cgroups();
  /// At once, while no start can begin: the row is ours.
  void remove_cgroup(const ContainerId& id);
  Result<bool> drop_shim_if_stray(const sys::Shim& shim, bool is_suspect);

  // stray_streams.cc
  /// Has the keeper close streams that no row knows as those of a process.
  void drop_stray_streams();
  Result<bool> is_stray(const io::StreamInfo& stream);

  // unfinished.cc
  /// Waits; false when the engine is being closed.
  bool nap(int64_t ms) const;
  /// Some tries with pauses, for what must not be left undone because of one failure.
  Status insist(const std::function<Status()>& step) const;
  Status drain_stream(const std::string& stream_id);
  Status discard_stream(const std::string& stream_id, const std::string& reason);
  /// Nobody works on the row: its owner is dead, or it is ours and recover_later() has it.
  bool is_left(const container::ContainerRow& row);
  /// A transition of ours could not be ended: tries again, with growing pauses, until it is.
  void recover_later(const container::Transition& left);
  /// Undoes a failed start that could not be undone at once, as soon as it can be.
  void undo_later(const std::shared_ptr<container::StartJob>& job, const Status& why);

  // exit_watch.cc: in the keeper's role, where others start processes and are given time to see their ends
  void see_foreign_exit(const container::ProcessKey& key);
  void see_foreign_exec_exit(const container::ProcessKey& key);
  /// Its process has ended. Who started it records that, if it lives and is not too slow; else we do, with
  /// the code that the starter has seen or, if none is known, this one. Blocks until it is recorded.
  void finish_exec_after_starter(const ExecId& id, int64_t exit_code);
  void see_foreign_start(const ContainerId& id);
  void record_oom(const ContainerId& id);
  bool is_keeper() const { return context.options.role == EngineRole::kKeeper; }
  void drop_exit(const container::ProcessKey& key);

  // manager_impl.cc
  Result<container::SeenContainer> see(const std::string& reference);
  Result<std::optional<container::ContainerRow>> load(const ContainerId& id);
  Result<std::shared_ptr<ctrd::Client>> containerd(const Call& call) { return context.ctrd(call); }
  Status append_event(store::Transaction& transaction, const container::ContainerRow& row,
                      const api::ContainerConfig& config, const std::string& action,
                      const container::Attributes& extra = {});
  /// The event alone, in a transaction of its own. Logged when it fails.
  void tell(const container::ContainerRow& row, const std::string& action,
            const container::Attributes& extra = {});
  /// Waits until the container is in no transition of another's, at most until the deadline; transitions of
  /// dead owners are recovered.
  Status await_settled(const ContainerId& id, Deadline deadline);
  bool is_mine(const std::string& owner) const { return owner == context.owner_token; }
  bool is_orphan(const std::string& owner) const;
  /// For what must end well whoever waits: its own deadline, no cancel.
  Call own_call(int64_t ms) const;
  /// Runs `work` on the executor; the caller is free when its call ends.
  template <class R>
  R detached(const Call& call, std::function<R()> work) {
    return run_detached<R>(*context.executor, call,
                           [held = inflight.enter(), work = std::move(work)] { return work(); });
  }
  /// The same on threads that may be blocked for long.
  template <class R>
  R detached_wait(const Call& call, std::function<R()> work) {
    return run_detached<R>(*waiters, call,
                           [held = inflight.enter(), work = std::move(work)] { return work(); });
  }
  void submit(std::function<void()> work);
  void submit_wait(std::function<void()> work);

  EngineContext& context;
  ImageLookup& images;
  ContainerNetworks& networks;
  ContainerVolumes& volumes;
  container::Inflight inflight;
  /// Shared with streams, which may outlive the manager.
  std::shared_ptr<container::Closers> closers = std::make_shared<container::Closers>();
  CancelPtr closing = std::make_shared<CancelToken>();  ///< fired when the manager goes
  std::unique_ptr<Executor> waiters;                    ///< for what blocks long: stops, graces
  std::unique_ptr<Executor> streams;                    ///< pumps of attach and logs
  container::TaskRemover task_remover;                  ///< for AutoRemove
  std::unique_ptr<container::ExitWatch> exit_watch;     ///< in the keeper's role
  container::RuntimeFeatures runtime_features;
  std::atomic<int> shim_looks = 0;  ///< how often drop_stray_shims_soon() will look, at least

  std::mutex mutex;
  // Below protected by mutex.
  std::map<container::ProcessKey, ctrd::WaitHandle> waits;
  std::map<container::ProcessKey, ctrd::ExitInfo> exits;  ///< known and not yet handled
  std::optional<spec::HostFacts> host_facts;
  std::set<container::Transition> unfinished;  ///< what recover_later() works on
  bool closed = false;
};

/// The error when a step on a container fails: Moby says only the reason, so does this.
Status foreign_reason(const Status& status);

}  // namespace pouch
