#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

struct TaskCreate {
  ContainerId id{};                      ///< of an existing container record
  std::vector<Mount> rootfs{};           ///< what Snapshots::mounts() answered
  StdioPaths stdio{};                    ///< open our ends before create(), or the shim blocks
  std::optional<RuncOptions> options{};  ///< overrides the record's runtime options
};

struct ExecCreate {
  ContainerId id{};
  ExecId exec_id{};
  StdioPaths stdio{};
  std::string process_json{};  ///< OCI runtime spec's `process` object, JSON
};

class AsyncCall;

/// One running asynchronous wait or removal. Destroying or cancelling it ends the wait: after either returns
/// the callback neither runs nor will run (called from within the callback they return at once). Do not hold
/// a lock that the callback takes while destroying it.
class WaitHandle {
 public:
  WaitHandle() = default;
  explicit WaitHandle(std::shared_ptr<AsyncCall> call) : call_(std::move(call)) {}
  ~WaitHandle() { cancel(); }
  WaitHandle(WaitHandle&&) noexcept = default;
  WaitHandle& operator=(WaitHandle&& other) noexcept;
  void cancel();

 private:
  std::shared_ptr<AsyncCall> call_;
};

/// Processes of containers. An empty ExecId means the container's first process. Threads and errors: see
/// Client. Order of a life: create, wait (before start, or a quick exit is missed), start, ..., remove.
class Tasks : public Service {
 public:
  using Service::Service;

  /// Makes the container (namespaces, mounts) with its first process not yet running; its pid on the host.
  /// 30 s when the call has no deadline. On failure nothing of the task is left, unless the code is
  /// AlreadyExists (remove() first), Cancelled, DeadlineExceeded or Unavailable.
  Result<uint32_t> create(const Call& call, const TaskCreate& task) const;
  /// Runs the created process; its pid. The process may already have ended when this returns.
  Result<uint32_t> start(const Call& call, const ContainerId& id, const ExecId& exec_id = {}) const;
  /// NotFound when the process has ended. `all`: every process of the container (not with an exec).
  Status kill(const Call& call, const ContainerId& id, const ExecId& exec_id, int signal,
              bool all = false) const;
  /// Removes a stopped task, its mounts and its shim; how it ended. Conflict while it runs. 30 s when the
  /// call has no deadline.
  Result<ExitInfo> remove(const Call& call, const ContainerId& id) const;
  /// The same without waiting; `done` as for wait_async(). Has no deadline.
  WaitHandle remove_async(const ContainerId& id, std::function<void(Result<ExitInfo>)> done) const;
  /// The same for an exec that has ended or was never started.
  Result<ExitInfo> remove_exec(const Call& call, const ContainerId& id, const ExecId& exec_id) const;
  /// Adds a process to a running container; start() runs it. AlreadyExists when the exec id is taken.
  Status exec(const Call& call, const ExecCreate& exec) const;
  /// In characters. Before start() of the process: an error.
  Status resize_pty(const Call& call, const ContainerId& id, const ExecId& exec_id, uint32_t width,
                    uint32_t height) const;
  /// Closes the process's stdin once what is in the FIFO has been read. For the first process after
  /// create(), for an exec after start(): earlier it is lost.
  Status close_io(const Call& call, const ContainerId& id, const ExecId& exec_id = {}) const;
  Result<TaskInfo> get(const Call& call, const ContainerId& id, const ExecId& exec_id = {}) const;
  /// All tasks of the namespace. One shim that hangs makes containerd hang here: give a deadline.
  Result<std::vector<TaskInfo>> list(const Call& call) const;
  /// Blocks until the process ends; no deadline unless the call has one. Unavailable when containerd goes
  /// away meanwhile, which says nothing about the process.
  Result<ExitInfo> wait(const Call& call, const ContainerId& id, const ExecId& exec_id = {}) const;
  /// Calls `done` once with what wait() would return, on a thread of gRPC (or, where the call could not
  /// begin, on the caller's): it must be quick, must not block, and may call wait_async() again. Not called
  /// after the handle was cancelled; Closed when the last Client of the connection goes first. Costs no
  /// thread.
  WaitHandle wait_async(const ContainerId& id, const ExecId& exec_id,
                        std::function<void(Result<ExitInfo>)> done) const;
  Status pause(const Call& call, const ContainerId& id) const;
  Status resume(const Call& call, const ContainerId& id) const;
  /// Pids on the host of all processes of the container, execs included.
  Result<std::vector<uint32_t>> list_pids(const Call& call, const ContainerId& id) const;
};

}  // namespace pouch::ctrd
