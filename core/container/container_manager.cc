#include "core/container/container_manager.h"

#include "core/container/exit_watch.h"
#include "core/container/manager_impl.h"

namespace pouch {

ContainerManager::ContainerManager(EngineContext& context, ImageLookup& images, ContainerNetworks& networks,
                                   ContainerVolumes& volumes)
    : impl_(std::make_unique<Impl>(context, images, networks, volumes)) {}

ContainerManager::~ContainerManager() = default;

Status ContainerManager::open() {
  POUCH_RETURN_IF_ERROR(impl_->reconcile(impl_->own_call(10'000)));
  if (impl_->context.options.role != EngineRole::kKeeper) return {};
  impl_->exit_watch = std::make_unique<container::ExitWatch>(*impl_);
  return impl_->exit_watch->start();
}

Status ContainerManager::reconcile(const Call& call) {
  return impl_->reconcile(call);
}

Result<StreamPtr> ContainerManager::attach(const std::string& id, const api::ContainerAttachOptions& options,
                                           const Call& call) {
  return impl_->attach(id, options, call);
}

Result<api::ContainerCreateResult> ContainerManager::create(const api::ContainerCreateConfig& config,
                                                            const api::ContainerCreateOptions& options,
                                                            const Call& call) {
  return impl_->create(config, options, call);
}

Result<api::ContainerInspect> ContainerManager::inspect(const std::string& id,
                                                        const api::ContainerInspectOptions& options,
                                                        const Call& call) {
  return impl_->inspect(id, options, call);
}

Status ContainerManager::kill(const std::string& id, const api::ContainerKillOptions& options,
                              const Call& call) {
  return impl_->kill(id, options, call);
}

Result<std::vector<api::ContainerSummary>> ContainerManager::list(const api::ContainerListOptions& options,
                                                                  const Call& call) {
  return impl_->list(options, call);
}

Result<api::CommitResult> ContainerManager::commit(const api::ContainerConfig& config,
                                                   const api::ContainerCommitOptions& options,
                                                   const Call& call) {
  return impl_->commit(config, options, call);
}

Result<StreamPtr> ContainerManager::export_rootfs(const std::string& id, const Call& call) {
  using Answer = Result<StreamPtr>;
  return impl_->detached<Answer>(call,
                                 [impl = impl_.get(), id, call] { return impl->export_rootfs(id, call); });
}

Result<StreamPtr> ContainerManager::logs(const std::string& id, const api::ContainerLogsOptions& options,
                                         const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  return impl_->logs(id, options);
}

Status ContainerManager::remove(const std::string& id, const api::ContainerRemoveOptions& options,
                                const Call& call) {
  return impl_->remove(id, options, call);
}

Status ContainerManager::rename(const std::string& id, const api::ContainerRenameOptions& options,
                                const Call& call) {
  return impl_->rename(id, options.name, call);
}

Status ContainerManager::start(const std::string& id, const api::ContainerStartOptions& options,
                               const Call& call) {
  return impl_->start(id, options, call);
}

Status ContainerManager::stop(const std::string& id, const api::ContainerStopOptions& options,
                              const Call& call) {
  return impl_->stop(id, options, call);
}

Result<StreamPtr> ContainerManager::wait(const std::string& id, const api::ContainerWaitOptions& options,
                                         const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  return impl_->wait(id, options);
}

Result<api::IdResult> ContainerManager::exec_create(const std::string& id, const api::ExecConfig& config,
                                                    const Call& call) {
  return impl_->exec_create(id, config, call);
}

Result<api::ExecInspect> ContainerManager::exec_inspect(const std::string& id, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  return impl_->exec_inspect(id);
}

Status ContainerManager::resize(const std::string& id, const api::ContainerResizeOptions& options,
                                const Call& call) {
  return impl_->resize(id, options.h, options.w, call);
}

Status ContainerManager::exec_resize(const std::string& id, const api::ExecResizeOptions& options,
                                     const Call& call) {
  return impl_->exec_resize(id, options.h, options.w, call);
}

Result<StreamPtr> ContainerManager::exec_start(const std::string& id, const api::ExecStartConfig& config,
                                               const Call& call) {
  return impl_->exec_start(id, config, call);
}

Status ContainerManager::remove_session(const std::string& session, const Call& call) {
  return impl_->remove_session(session, call);
}

Result<ContainerCounts> ContainerManager::counts() {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, impl_->context.db->read());
  POUCH_ASSIGN_OR_RETURN(store::Statement found,
                         snapshot.prepare("SELECT state, paused, count(*) FROM containers "
                                          "WHERE state <> 'creating' GROUP BY state, paused"));
  ContainerCounts counts;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, found.step());
    if (!more) return counts;
    const std::string name = found.text(0);
    const int64_t number = found.integer(2);
    const bool runs = name == container::state::kRunning || name == container::state::kExiting;
    counts.total += number;
    (!runs ? counts.stopped : found.boolean(1) ? counts.paused : counts.running) += number;
  }
}

Result<std::vector<ContainerUse>> ContainerManager::uses_of_image(const Digest& image_id) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, impl_->context.db->read());
  POUCH_ASSIGN_OR_RETURN(const auto rows, container::containers_of_image(snapshot, image_id));
  std::vector<ContainerUse> uses;
  for (const container::ContainerRow& row : rows) {
    uses.push_back({row.id, row.name, row.image_ref, row.image_id,
                    row.is_running() || row.state == container::state::kStarting});
  }
  return uses;
}

}  // namespace pouch
