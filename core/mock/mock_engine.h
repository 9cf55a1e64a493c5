#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/api/engine.gen.h"
#include "core/api/stream_pipe.h"
#include "core/base/executor.h"

namespace pouch {

namespace mock {
struct Container;
struct Exec;
struct Image;
struct Input;
struct State;
}  // namespace mock

/// The whole contract in memory: for the unit tests of programs that use Pouch. Needs no rights, touches
/// nothing; its processes are threads that know a few commands (mock_process.h). Every registry has every
/// image, but for repositories whose last part begins with "absent" (NotFound), "private" (Unauthenticated,
/// but with the password "secret"), "denied" (PermissionDenied), "broken" (DataLoss), "artifact"
/// (NotImplemented) or "huge" (ResourceExhausted); pushes likewise. Thread-safe.
class MockEngine : public Engine {
  struct Private {};

 public:
  MockEngine(Private, std::set<std::string> wrong);
  /// `uri` is "mock://" with "?wrong=<behaviour>" any number of times: seeded faults that a conformance run
  /// must find: exit-code, lost-stderr, remove-running, name-reuse. InvalidArgument for others.
  static Result<std::unique_ptr<MockEngine>> open(const std::string& uri);
  ~MockEngine() override;

  Result<StreamPtr> container_attach(const std::string& id, const api::ContainerAttachOptions& options,
                                     const Call& call) override;
  Result<api::CommitResult> container_commit(const api::ContainerConfig& config,
                                             const api::ContainerCommitOptions& options,
                                             const Call& call) override;
  Result<api::ContainerCreateResult> container_create(const api::ContainerCreateConfig& config,
                                                      const api::ContainerCreateOptions& options,
                                                      const Call& call) override;
  Result<StreamPtr> container_export(const std::string& id, const Call& call) override;
  Result<api::ContainerInspect> container_inspect(const std::string& id,
                                                  const api::ContainerInspectOptions& options,
                                                  const Call& call) override;
  Status container_kill(const std::string& id, const api::ContainerKillOptions& options,
                        const Call& call) override;
  Result<std::vector<api::ContainerSummary>> container_list(const api::ContainerListOptions& options,
                                                            const Call& call) override;
  Result<StreamPtr> container_logs(const std::string& id, const api::ContainerLogsOptions& options,
                                   const Call& call) override;
  Status container_remove(const std::string& id, const api::ContainerRemoveOptions& options,
                          const Call& call) override;
  Status container_rename(const std::string& id, const api::ContainerRenameOptions& options,
                          const Call& call) override;
  Status container_resize(const std::string& id, const api::ContainerResizeOptions& options,
                          const Call& call) override;
  Status container_start(const std::string& id, const api::ContainerStartOptions& options,
                         const Call& call) override;
  Status container_stop(const std::string& id, const api::ContainerStopOptions& options,
                        const Call& call) override;
  Result<StreamPtr> container_wait(const std::string& id, const api::ContainerWaitOptions& options,
                                   const Call& call) override;
  Result<api::IdResult> exec_create(const std::string& id, const api::ExecConfig& config,
                                    const Call& call) override;
  Result<api::ExecInspect> exec_inspect(const std::string& id, const Call& call) override;
  Status exec_resize(const std::string& id, const api::ExecResizeOptions& options, const Call& call) override;
  Result<StreamPtr> exec_start(const std::string& id, const api::ExecStartConfig& config,
                               const Call& call) override;
  Result<api::DistributionInspect> image_distribution(const std::string& name,
                                                      const api::ImageDistributionOptions& options,
                                                      const Call& call) override;
  Result<StreamPtr> image_from_rootfs(const api::ImageFromRootfsOptions& options, const Call& call) override;
  Result<std::vector<api::ImageHistoryItem>> image_history(const std::string& name,
                                                           const api::ImageHistoryOptions& options,
                                                           const Call& call) override;
  Result<StreamPtr> image_copy_from(const api::ImageCopyFromOptions& options, const Call& call) override;
  Result<StreamPtr> image_import_tar(const api::ImageImportTarOptions& options, const Call& call) override;
  Result<api::ImageInspect> image_inspect(const std::string& name, const api::ImageInspectOptions& options,
                                          const Call& call) override;
  Result<std::vector<api::ImageSummary>> image_list(const api::ImageListOptions& options,
                                                    const Call& call) override;
  Result<StreamPtr> image_load(const api::ImageLoadOptions& options, const Call& call) override;
  Result<api::ImagePruneResult> image_prune(const api::ImagePruneOptions& options, const Call& call) override;
  Result<StreamPtr> image_pull(const api::ImagePullOptions& options, const Call& call) override;
  Result<StreamPtr> image_push(const std::string& name, const api::ImagePushOptions& options,
                               const Call& call) override;
  Result<std::vector<api::ImageDeleteItem>> image_remove(const std::string& name,
                                                         const api::ImageRemoveOptions& options,
                                                         const Call& call) override;
  Result<StreamPtr> image_save(const api::ImageSaveOptions& options, const Call& call) override;
  Status image_tag(const std::string& name, const api::ImageTagOptions& options, const Call& call) override;
  Status network_connect(const std::string& id, const api::NetworkConnectConfig& config,
                         const Call& call) override;
  Result<api::NetworkCreateResult> network_create(const api::NetworkCreateConfig& config,
                                                  const Call& call) override;
  Status network_disconnect(const std::string& id, const api::NetworkDisconnectConfig& config,
                            const Call& call) override;
  Result<api::Network> network_inspect(const std::string& id, const api::NetworkInspectOptions& options,
                                       const Call& call) override;
  Result<std::vector<api::Network>> network_list(const api::NetworkListOptions& options,
                                                 const Call& call) override;
  Result<api::NetworkPruneResult> network_prune(const api::NetworkPruneOptions& options,
                                                const Call& call) override;
  Status network_remove(const std::string& id, const Call& call) override;
  Result<api::CheckReport> system_check(const Call& call) override;
  Result<api::DiskUsage> system_df(const api::SystemDfOptions& options, const Call& call) override;
  Result<api::Diagnosis> system_diagnose(const Call& call) override;
  Result<StreamPtr> system_events(const api::SystemEventsOptions& options, const Call& call) override;
  Result<api::SystemInfo> system_info(const Call& call) override;
  Result<api::LoginResult> system_login(const api::AuthConfig& config, const Call& call) override;
  Result<api::PingInfo> system_ping(const Call& call) override;
  Result<StreamPtr> system_session(const Call& call) override;
  Result<api::VersionInfo> system_version(const Call& call) override;
  Result<api::Volume> volume_create(const api::VolumeCreateConfig& config, const Call& call) override;
  Result<api::Volume> volume_inspect(const std::string& name, const Call& call) override;
  Result<api::VolumeListResult> volume_list(const api::VolumeListOptions& options, const Call& call) override;
  Result<api::VolumePruneResult> volume_prune(const api::VolumePruneOptions& options,
                                              const Call& call) override;
  Status volume_remove(const std::string& name, const api::VolumeRemoveOptions& options,
                       const Call& call) override;

 private:
  void on_exit(const std::shared_ptr<mock::Container>& container, int exit_code);
  void pump_stdin(mock::Input input);
  Status check_session(const std::string& session) const;
  void store_image(const std::string& digest, const std::vector<std::string>& references, mock::Image image,
                   const std::string& session);

  const std::shared_ptr<mock::State> state_;
  Executor executor_{256};  // every open stream has a thread of it
};

}  // namespace pouch
