#include "core/engine/local_engine.h"

#include <unistd.h>

#include <utility>

#include "core/base/log.h"
#include "core/container/container_manager.h"
#include "core/engine/network_side.h"
#include "core/engine/root.h"
#include "core/engine/session_watch.h"
#include "core/engine/sessions.h"
#include "core/image/image_manager.h"
#include "core/network/network_manager.h"
#include "core/remote/remote_engine.h"
#include "core/store/database.h"
#include "core/store/session_objects.h"
#include "core/system/system_manager.h"
#include "core/volume/volume_manager.h"

namespace pouch {
namespace {

/// How the image manager sees containers.
class ContainerUsers final : public ImageUsers {
 public:
  explicit ContainerUsers(ContainerManager& containers) : containers_(containers) {}

  Result<std::vector<ImageUse>> uses_of_image(const Digest& image_id) override {
    POUCH_ASSIGN_OR_RETURN(const auto containers, containers_.uses_of_image(image_id));
    std::vector<ImageUse> uses;
    uses.reserve(containers.size());
    for (const ContainerUse& use : containers) uses.push_back({use.id, use.running});
    return uses;
  }

 private:
  ContainerManager& containers_;
};

}  // namespace

/// The managers in the order in which they need each other; they end in the opposite one, before the root.
struct LocalEngine::Parts {
  explicit Parts(std::unique_ptr<Root> opened)
      : root(std::move(opened)),
        images(root->context()),
        networks(root->context()),
        volumes(root->context()),
        containers(root->context(), images, networks, volumes),
        users(containers),
        system(root->context(),
               {[this] { return count(); },
                [this](const Call& call, int64_t& layers_size) { return images.measure(call, layers_size); },
                [this](const Call& call) { return measure_containers(call); },
                [this](const Call& call) { return volumes.measure(call); },
                [this](api::SystemInfo& out) { return images.describe_registries(out); },
                [this](const Call& call) { return networks.findings(call); }}),
        sessions(root->context()),
        places(root->context()) {
    networks.set_containers(places);
    images.set_users(&users);
    images.set_docker([](const std::string& uri) -> Result<std::unique_ptr<Engine>> {
      POUCH_ASSIGN_OR_RETURN(std::unique_ptr<remote::RemoteEngine> docker, remote::RemoteEngine::open(uri));
      return std::unique_ptr<Engine>(std::move(docker));
    });
  }
  // A removal that its caller has given up may still ask who uses the image.
  ~Parts() {
    session_watch.reset();
    images.close();
    networks.close();
    volumes.close();
    if (images.owes_removals()) root->owner().leave_file();
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  Result<ObjectCounts> count() {
    POUCH_ASSIGN_OR_RETURN(const ContainerCounts counts, containers.counts());
    POUCH_ASSIGN_OR_RETURN(const int64_t image_count, images.count());
    return ObjectCounts{counts.total, counts.running, counts.paused, counts.stopped, image_count};
  }

  Result<std::vector<api::ContainerSummary>> measure_containers(const Call& call) {
    api::ContainerListOptions options;
    options.all = true;
    options.size = true;
    return containers.list(options, call);
  }

  Status start_sessions() {
    if (root->context().options.role != EngineRole::kKeeper) return sessions.recover();
    POUCH_ASSIGN_OR_RETURN(
        session_watch,
        SessionWatch::start(root->context(), [this](const std::string& session, const Call& call) {
          Status removed = containers.remove_session(session, call);
          if (removed.is_ok()) removed = networks.remove_session(session, call);
          if (removed.is_ok()) removed = volumes.remove_session(session, call);
          return removed.is_ok() ? images.remove_session(session, call) : removed;
        }));
    return {};
  }

  Status check() const {
    if (::getpid() == pid) return {};
    return {Code::kForked, "this engine was opened before fork(); open one in this process"};
  }

  const pid_t pid = ::getpid();
  const std::unique_ptr<Root> root;
  ImageManager images;
  NetworkManager networks;
  VolumeManager volumes;
  ContainerManager containers;
  ContainerUsers users;
  SystemManager system;
  Sessions sessions;
  NetworkSide places;
  std::unique_ptr<SessionWatch> session_watch;  ///< in the keeper's role
};

LocalEngine::LocalEngine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

LocalEngine::~LocalEngine() {
  if (parts_->check().is_ok()) return;
  // The threads and locks belong to the parent: the child's copy is left as it is.
  [[maybe_unused]] Parts* const left = parts_.release();
}

Result<std::unique_ptr<LocalEngine>> LocalEngine::open(EngineOptions options) {
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<Root> root, Root::open(std::move(options)));
  const std::string what = "open engine root " + root->context().root_dir();
  const LogScoped scoped({root->context().root_id, {}, {}});
  auto parts = std::make_unique<Parts>(std::move(root));
  POUCH_RETURN_IF_ERROR(parts->containers.open().prefix(what));
  POUCH_RETURN_IF_ERROR(parts->start_sessions().prefix(what));
  // Their rows are in order now; what they left in containerd is next, and while that fails they are
  // remembered.
  if (parts->root->owner().has_dead() && parts->images.sweep().is_ok()) parts->root->owner().remove_dead();
  return std::unique_ptr<LocalEngine>(new LocalEngine(std::move(parts)));
}

ContainerManager& LocalEngine::containers() {
  return parts_->containers;
}

NetworkManager& LocalEngine::networks() {
  return parts_->networks;
}

EngineContext& LocalEngine::context() {
  return parts_->root->context();
}

bool LocalEngine::has_sessions() {
  const auto ids = [this]() -> Result<std::vector<std::string>> {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context().db->read());
    return store::all_sessions(snapshot);
  }();
  return ids.is_ok() && !ids->empty();
}

// From here on: the contract, operation by operation.

#define POUCH_FORWARD(manager, call_expression)                                     \
  do {                                                                              \
    POUCH_RETURN_IF_ERROR(parts_->check());                                         \
    const LogScoped scoped({parts_->root->context().root_id, {}, call.request_id}); \
    return parts_->manager.call_expression;                                         \
  } while (false)

Result<StreamPtr> LocalEngine::container_attach(const std::string& id,
                                                const api::ContainerAttachOptions& options,
                                                const Call& call) {
  POUCH_FORWARD(containers, attach(id, options, call));
}

Result<api::CommitResult> LocalEngine::container_commit(const api::ContainerConfig& config,
                                                        const api::ContainerCommitOptions& options,
                                                        const Call& call) {
  POUCH_FORWARD(containers, commit(config, options, call));
}

Result<api::ContainerCreateResult> LocalEngine::container_create(const api::ContainerCreateConfig& config,
                                                                 const api::ContainerCreateOptions& options,
                                                                 const Call& call) {
  POUCH_FORWARD(containers, create(config, options, call));
}

Result<StreamPtr> LocalEngine::container_export(const std::string& id, const Call& call) {
  POUCH_FORWARD(containers, export_rootfs(id, call));
}

Result<api::ContainerInspect> LocalEngine::container_inspect(const std::string& id,
                                                             const api::ContainerInspectOptions& options,
                                                             const Call& call) {
  POUCH_FORWARD(containers, inspect(id, options, call));
}

Status LocalEngine::container_kill(const std::string& id, const api::ContainerKillOptions& options,
                                   const Call& call) {
  POUCH_FORWARD(containers, kill(id, options, call));
}

Result<std::vector<api::ContainerSummary>> LocalEngine::container_list(
    const api::ContainerListOptions& options, const Call& call) {
  POUCH_FORWARD(containers, list(options, call));
}

Result<StreamPtr> LocalEngine::container_logs(const std::string& id, const api::ContainerLogsOptions& options,
                                              const Call& call) {
  POUCH_FORWARD(containers, logs(id, options, call));
}

Status LocalEngine::container_remove(const std::string& id, const api::ContainerRemoveOptions& options,
                                     const Call& call) {
  POUCH_FORWARD(containers, remove(id, options, call));
}

Status LocalEngine::container_rename(const std::string& id, const api::ContainerRenameOptions& options,
                                     const Call& call) {
  POUCH_FORWARD(containers, rename(id, options, call));
}

Status LocalEngine::container_resize(const std::string& id, const api::ContainerResizeOptions& options,
                                     const Call& call) {
  POUCH_FORWARD(containers, resize(id, options, call));
}

Status LocalEngine::container_start(const std::string& id, const api::ContainerStartOptions& options,
                                    const Call& call) {
  POUCH_FORWARD(containers, start(id, options, call));
}

Status LocalEngine::container_stop(const std::string& id, const api::ContainerStopOptions& options,
                                   const Call& call) {
  POUCH_FORWARD(containers, stop(id, options, call));
}

Result<StreamPtr> LocalEngine::container_wait(const std::string& id, const api::ContainerWaitOptions& options,
                                              const Call& call) {
  POUCH_FORWARD(containers, wait(id, options, call));
}

Result<api::IdResult> LocalEngine::exec_create(const std::string& id, const api::ExecConfig& config,
                                               const Call& call) {
  POUCH_FORWARD(containers, exec_create(id, config, call));
}

Result<api::ExecInspect> LocalEngine::exec_inspect(const std::string& id, const Call& call) {
  POUCH_FORWARD(containers, exec_inspect(id, call));
}

Status LocalEngine::exec_resize(const std::string& id, const api::ExecResizeOptions& options,
                                const Call& call) {
  POUCH_FORWARD(containers, exec_resize(id, options, call));
}

Result<StreamPtr> LocalEngine::exec_start(const std::string& id, const api::ExecStartConfig& config,
                                          const Call& call) {
  POUCH_FORWARD(containers, exec_start(id, config, call));
}

Result<api::DistributionInspect> LocalEngine::image_distribution(const std::string& name,
                                                                 const api::ImageDistributionOptions& options,
                                                                 const Call& call) {
  POUCH_FORWARD(images, distribution(name, options, call));
}

Result<StreamPtr> LocalEngine::image_from_rootfs(const api::ImageFromRootfsOptions& options,
                                                 const Call& call) {
  POUCH_FORWARD(images, from_rootfs(options, call));
}

Result<std::vector<api::ImageHistoryItem>> LocalEngine::image_history(const std::string& name,
                                                                      const api::ImageHistoryOptions& options,
                                                                      const Call& call) {
  POUCH_FORWARD(images, history(name, options, call));
}

Result<StreamPtr> LocalEngine::image_copy_from(const api::ImageCopyFromOptions& options, const Call& call) {
  POUCH_FORWARD(images, copy_from(options, call));
}

Result<StreamPtr> LocalEngine::image_import_tar(const api::ImageImportTarOptions& options, const Call& call) {
  POUCH_FORWARD(images, import(options, call));
}

Result<api::ImageInspect> LocalEngine::image_inspect(const std::string& name,
                                                     const api::ImageInspectOptions& options,
                                                     const Call& call) {
  POUCH_FORWARD(images, inspect(name, options, call));
}

Result<std::vector<api::ImageSummary>> LocalEngine::image_list(const api::ImageListOptions& options,
                                                               const Call& call) {
  POUCH_FORWARD(images, list(options, call));
}

Result<StreamPtr> LocalEngine::image_load(const api::ImageLoadOptions& options, const Call& call) {
  POUCH_FORWARD(images, load(options, call));
}

Result<api::ImagePruneResult> LocalEngine::image_prune(const api::ImagePruneOptions& options,
                                                       const Call& call) {
  POUCH_FORWARD(images, prune(options, call));
}

Result<StreamPtr> LocalEngine::image_pull(const api::ImagePullOptions& options, const Call& call) {
  POUCH_FORWARD(images, pull(options, call));
}

Result<StreamPtr> LocalEngine::image_push(const std::string& name, const api::ImagePushOptions& options,
                                          const Call& call) {
  POUCH_FORWARD(images, push(name, options, call));
}

Result<std::vector<api::ImageDeleteItem>> LocalEngine::image_remove(const std::string& name,
                                                                    const api::ImageRemoveOptions& options,
                                                                    const Call& call) {
  POUCH_FORWARD(images, remove(name, options, call));
}

Result<StreamPtr> LocalEngine::image_save(const api::ImageSaveOptions& options, const Call& call) {
  POUCH_FORWARD(images, save(options, call));
}

Status LocalEngine::image_tag(const std::string& name, const api::ImageTagOptions& options,
                              const Call& call) {
  POUCH_FORWARD(images, tag(name, options, call));
}

Result<api::DiskUsage> LocalEngine::system_df(const api::SystemDfOptions& options, const Call& call) {
  POUCH_FORWARD(system, df(options, call));
}

Status LocalEngine::network_connect(const std::string& id, const api::NetworkConnectConfig& config,
                                    const Call& call) {
  POUCH_FORWARD(networks, connect(id, config, call));
}

Result<api::NetworkCreateResult> LocalEngine::network_create(const api::NetworkCreateConfig& config,
                                                             const Call& call) {
  POUCH_FORWARD(networks, create(config, call));
}

Status LocalEngine::network_disconnect(const std::string& id, const api::NetworkDisconnectConfig& config,
                                       const Call& call) {
  POUCH_FORWARD(networks, disconnect(id, config, call));
}

Result<api::Network> LocalEngine::network_inspect(const std::string& id,
                                                  const api::NetworkInspectOptions& options,
                                                  const Call& call) {
  POUCH_FORWARD(networks, inspect(id, options, call));
}

Result<std::vector<api::Network>> LocalEngine::network_list(const api::NetworkListOptions& options,
                                                            const Call& call) {
  POUCH_FORWARD(networks, list(options, call));
}

Result<api::NetworkPruneResult> LocalEngine::network_prune(const api::NetworkPruneOptions& options,
                                                           const Call& call) {
  POUCH_FORWARD(networks, prune(options, call));
}

Status LocalEngine::network_remove(const std::string& id, const Call& call) {
  POUCH_FORWARD(networks, remove(id, call));
}

Result<api::CheckReport> LocalEngine::system_check(const Call& call) {
  POUCH_FORWARD(system, check(call));
}

Result<api::Diagnosis> LocalEngine::system_diagnose(const Call& call) {
  POUCH_FORWARD(system, diagnose(call));
}

Result<StreamPtr> LocalEngine::system_events(const api::SystemEventsOptions& options, const Call& call) {
  POUCH_FORWARD(system, events(options, call));
}

Result<api::SystemInfo> LocalEngine::system_info(const Call& call) {
  POUCH_FORWARD(system, info(call));
}

Result<api::LoginResult> LocalEngine::system_login(const api::AuthConfig& config, const Call& call) {
  POUCH_FORWARD(images, login(config, call));
}

Result<api::PingInfo> LocalEngine::system_ping(const Call& call) {
  POUCH_FORWARD(system, ping(call));
}

Result<StreamPtr> LocalEngine::system_session(const Call& call) {
  POUCH_FORWARD(sessions, open(call));
}

Result<api::VersionInfo> LocalEngine::system_version(const Call& call) {
  POUCH_FORWARD(system, version(call));
}

Result<api::Volume> LocalEngine::volume_create(const api::VolumeCreateConfig& config, const Call& call) {
  POUCH_FORWARD(volumes, create(config, call));
}

Result<api::Volume> LocalEngine::volume_inspect(const std::string& name, const Call& call) {
  POUCH_FORWARD(volumes, inspect(name, call));
}

Result<api::VolumeListResult> LocalEngine::volume_list(const api::VolumeListOptions& options,
                                                       const Call& call) {
  POUCH_FORWARD(volumes, list(options, call));
}

Result<api::VolumePruneResult> LocalEngine::volume_prune(const api::VolumePruneOptions& options,
                                                         const Call& call) {
  POUCH_FORWARD(volumes, prune(options, call));
}

Status LocalEngine::volume_remove(const std::string& name, const api::VolumeRemoveOptions& options,
                                  const Call& call) {
  POUCH_FORWARD(volumes, remove(name, options, call));
}

#undef POUCH_FORWARD

}  // namespace pouch
