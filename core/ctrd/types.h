#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/id.h"

/// containerd's vocabulary as plain structs. Names and meanings are containerd's; none of its protobuf types
/// leaves this folder.
// Every member has an initializer so that callers may name only the fields they set: {.root = "x"}.
namespace pouch::ctrd {

using Labels = std::map<std::string, std::string>;
/// containerd's filter strings: terms of one string are AND-ed by commas, strings are OR-ed; none lists all.
/// E.g. `labels."pouch.root"==abc`, `name~=^docker.io/`, `id==x`.
using Filters = std::vector<std::string>;

/// As mount(8) would take it: what a snapshotter answers and what a task or a diff takes.
struct Mount {
  std::string type{};
  std::string source{};
  std::string target{};  ///< relative to the root that is built; empty: the root itself
  std::vector<std::string> options{};
};

struct Descriptor {
  std::string media_type{};
  Digest digest{};
  int64_t size = 0;  ///< bytes
  Labels annotations{};
};

/// containerd.runc.v1.Options: how io.containerd.runc.v2 calls its OCI runtime.
struct RuncOptions {
  std::string binary_name{};  ///< path or name on containerd's PATH; empty: "runc"
  std::string root{};         ///< runtime state folder; empty: the shim's default
  bool systemd_cgroup = false;
  bool no_pivot_root = false;
  bool no_new_keyring = false;
  std::string shim_cgroup{};  ///< cgroup path the shim is put in; empty: containerd's
  uint32_t io_uid = 0;        ///< owner of the stdio pipes, for user namespaces
  uint32_t io_gid = 0;
};

struct ContainerRecord {
  ContainerId id{};
  Labels labels{};
  std::string image{};         ///< name of an image record; may be empty
  std::string runtime_name{};  ///< e.g. "io.containerd.runc.v2"
  std::optional<RuncOptions> runtime_options{};
  std::string spec_json{};  ///< OCI runtime spec, JSON
  std::string snapshotter{};
  std::string snapshot_key{};
  Timestamp created_at{};  ///< set by containerd
  Timestamp updated_at{};  ///< set by containerd
};

enum class TaskStatus : int {
  kUnknown = 0,
  kCreated = 1,
  kRunning = 2,
  kStopped = 3,
  kPaused = 4,
  kPausing = 5
};

struct TaskInfo {
  ContainerId id{};
  ExecId exec_id{};  ///< empty: the container's first process
  uint32_t pid = 0;
  TaskStatus status = TaskStatus::kUnknown;
  uint32_t exit_status = 0;  ///< meaningful when stopped; 128 + signal for a signalled process
  Timestamp exited_at{};     ///< zero: not exited
  std::string stdin_path{};
  std::string stdout_path{};
  std::string stderr_path{};
  bool terminal = false;
};

struct ExitInfo {
  uint32_t status = 0;    ///< exit code, or 128 + signal
  Timestamp exited_at{};  ///< zero where containerd does not know
  uint32_t pid = 0;       ///< 0 from wait(), which is not told
};

/// FIFO paths (or shim URIs such as file:///x). All empty: /dev/null. Without a terminal stdout and stderr
/// must be given both or neither (containerd's shim refuses one alone); stdin may be empty.
struct StdioPaths {
  std::string stdin_path{};
  std::string stdout_path{};
  std::string stderr_path{};  ///< empty with a terminal
  bool terminal = false;
};

struct ContentInfo {
  Digest digest{};
  int64_t size = 0;
  Timestamp created_at{};
  Timestamp updated_at{};
  Labels labels{};
};

/// A blob that is being written.
struct IngestStatus {
  std::string ref{};
  int64_t offset = 0;  ///< bytes there so far
  int64_t total = 0;   ///< 0: unknown
  Digest expected{};   ///< may be empty
  Timestamp started_at{};
  Timestamp updated_at{};
};

enum class SnapshotKind : int { kUnknown = 0, kView = 1, kActive = 2, kCommitted = 3 };

struct SnapshotInfo {
  std::string name{};    ///< the key while active, the committed name after
  std::string parent{};  ///< empty: none
  SnapshotKind kind = SnapshotKind::kUnknown;
  Timestamp created_at{};
  Timestamp updated_at{};
  Labels labels{};
};

struct SnapshotUsage {
  int64_t size = 0;  ///< bytes of this snapshot alone, without its parents
  int64_t inodes = 0;
};

struct ImageRecord {
  std::string name{};  ///< a plain key to containerd, e.g. "docker.io/library/busybox:latest"
  Labels labels{};
  Descriptor target{};
  Timestamp created_at{};
  Timestamp updated_at{};
};

struct Lease {
  std::string id{};
  Timestamp created_at{};
  Labels labels{};
};

struct PluginInfo {
  std::string type{};  ///< e.g. "io.containerd.snapshotter.v1"
  std::string id{};    ///< e.g. "overlayfs"
  Labels exports{};    ///< e.g. "root" of a snapshotter
  std::vector<std::string> capabilities{};
  std::string init_error{};  ///< empty: it works

  bool is_ok() const { return init_error.empty(); }
};

struct VersionInfo {
  std::string version{};   ///< e.g. "1.6.20~ds1"
  std::string revision{};  ///< may be empty
};

}  // namespace pouch::ctrd
