#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/api/container.gen.h"
#include "core/api/exec.gen.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/database.h"

// The rows of containers and execs. Every function works in the session given and makes no transaction.

namespace pouch::container {

/// `state` of a row. kExiting: the exit is being handled by the owner; to the outside it still runs.
namespace state {
inline constexpr std::string_view kCreating = "creating";
inline constexpr std::string_view kCreated = "created";
inline constexpr std::string_view kStarting = "starting";
inline constexpr std::string_view kRunning = "running";
inline constexpr std::string_view kExiting = "exiting";
inline constexpr std::string_view kExited = "exited";
inline constexpr std::string_view kRemoving = "removing";
inline constexpr std::string_view kDead = "dead";
}  // namespace state

struct ContainerRow {
  ContainerId id;
  std::string name;
  std::string state;
  bool stopping = false;
  bool paused = false;
  int64_t generation = 0;
  std::string owner;  ///< engine at work on it; while running: the engine that waits for its end
  std::string boot_id;
  std::string config_json;
  std::string host_config_json;
  std::string image_ref;
  Digest image_id;
  std::string snapshotter;
  std::string snapshot_key;
  std::string runtime;
  std::string log_path;
  bool auto_remove = false;
  int64_t pid = 0;
  int64_t exit_code = 0;
  std::string error;
  bool oom_killed = false;
  int64_t restart_count = 0;
  Timestamp created;
  Timestamp started;
  Timestamp finished;

  /// Of its creation and removal. With AutoRemove it ends with the boot anyway: recovery removes what is
  /// left.
  store::Durability durability() const {
    return auto_remove ? store::Durability::kBootScoped : store::Durability::kKept;
  }
  /// Nobody works on it, and it does not run.
  bool is_settled() const {
    return state == state::kCreated || state == state::kExited || state == state::kDead;
  }
  bool is_running() const { return state == state::kRunning || state == state::kExiting; }
  Result<api::ContainerConfig> config() const;
  Result<api::HostConfig> host_config() const;
};

/// AlreadyExists when the name (or id) is taken.
Status insert_container(store::Session& session, const ContainerRow& row);
Result<std::optional<ContainerRow>> load_container(store::Session& session, const ContainerId& id);
/// By full id, name (with or without slash), or unique id prefix. NotFound "No such container: x".
Result<ContainerRow> find_container(store::Session& session, const std::string& reference);
Result<std::optional<ContainerId>> id_of_name(store::Session& session, std::string_view name);
/// Newest first. Rows being created are left out unless `all`.
Result<std::vector<ContainerRow>> all_containers(store::Session& session, bool all = false);
Result<std::vector<ContainerRow>> containers_of_image(store::Session& session, const Digest& image_id);

struct ExecRow {
  ExecId id;
  ContainerId container_id;
  int64_t generation = 0;
  std::string state;  ///< created, starting, running, exiting, exited
  std::string owner;
  std::string boot_id;
  std::string config_json;
  int64_t pid = 0;
  std::optional<int64_t> exit_code;
  std::string error;
  Timestamp created;
  Timestamp started;
  Timestamp finished;

  Result<api::ExecConfig> config() const;
};

Status insert_exec(store::Session& session, const ExecRow& row);
/// NotFound "No such exec instance: x".
Result<ExecRow> find_exec(store::Session& session, const std::string& id);
Result<std::vector<ExecRow>> execs_of_container(store::Session& session, const ContainerId& id);
/// All that are not created or exited.
Result<std::vector<ExecRow>> active_execs(store::Session& session);
/// Forgets those that ended before `time`.
Status drop_old_execs(store::Session& session, Timestamp time);

}  // namespace pouch::container
