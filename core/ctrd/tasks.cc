#include "core/ctrd/tasks.h"

#include <utility>

#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"
#include "tasks.pb.h"

namespace pouch::ctrd {
namespace {

namespace pb = containerd::services::tasks::v1;

// A shim start mounts, forks and calls the runtime: under load this takes seconds.
constexpr int64_t kSlowMs = 30'000;

std::string object_of(const ContainerId& id, const ExecId& exec_id) {
  return exec_id.empty() ? id.str() : id.str() + " exec " + exec_id.str();
}

TaskInfo task_from(const containerd::v1::types::Process& message) {
  TaskInfo task;
  // In a list `id` is the container and container_id is empty (1.6); for an exec `id` is the exec.
  const bool is_exec = !message.container_id().empty() && message.container_id() != message.id();
  task.id = ContainerId(is_exec ? message.container_id() : message.id());
  if (is_exec) task.exec_id = ExecId(message.id());
  task.pid = message.pid();
  const int status = message.status();
  task.status = status >= 0 && status <= 5 ? static_cast<TaskStatus>(status) : TaskStatus::kUnknown;
  task.exit_status = message.exit_status();
  task.exited_at = timestamp_from(message.exited_at());
  task.stdin_path = message.stdin();
  task.stdout_path = message.stdout();
  task.stderr_path = message.stderr();
  task.terminal = message.terminal();
  return task;
}

template <class Request>
void fill_stdio(const StdioPaths& stdio, Request& request) {
  request.set_stdin(stdio.stdin_path);
  request.set_stdout(stdio.stdout_path);
  request.set_stderr(stdio.stderr_path);
  request.set_terminal(stdio.terminal);
}

bool is_running(TaskStatus status) {
  return status == TaskStatus::kRunning || status == TaskStatus::kPaused || status == TaskStatus::kPausing;
}

ExitInfo exit_from(const pb::DeleteResponse& message) {
  return {.status = message.exit_status(),
          .exited_at = timestamp_from(message.exited_at()),
          .pid = message.pid()};
}

ExitInfo exit_from(const pb::WaitResponse& message) {
  return {.status = message.exit_status(), .exited_at = timestamp_from(message.exited_at()), .pid = 0};
}

template <class Response>
Result<ExitInfo> exit_from_bytes(const Result<std::string>& bytes, const char* name) {
  if (!bytes.is_ok()) return bytes.status();
  Response message;
  if (!message.ParseFromString(*bytes)) {
    return Status(Code::kDataLoss,
                  std::string("containerd: ") + name + ": the answer is not what this client knows");
  }
  return exit_from(message);
}

}  // namespace

WaitHandle& WaitHandle::operator=(WaitHandle&& other) noexcept {
  if (this != &other) {
    cancel();
    call_ = std::move(other.call_);
  }
  return *this;
}

void WaitHandle::cancel() {
  if (const std::shared_ptr<AsyncCall> call = std::exchange(call_, nullptr)) call->cancel();
}

Result<uint32_t> Tasks::create(const Call& call, const TaskCreate& task) const {
  pb::CreateTaskRequest request;
  request.set_container_id(task.id.str());
  fill_mounts(task.rootfs, *request.mutable_rootfs());
  fill_stdio(task.stdio, request);
  if (task.options) fill(*task.options, *request.mutable_options());
  pb::CreateTaskResponse response;
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/Create",
                .name = "tasks.create",
                .object = task.id.str(),
                .default_ms = kSlowMs};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return response.pid();
}

Result<uint32_t> Tasks::start(const Call& call, const ContainerId& id, const ExecId& exec_id) const {
  pb::StartRequest request;
  request.set_container_id(id.str());
  request.set_exec_id(exec_id.str());
  pb::StartResponse response;
  const std::string object = object_of(id, exec_id);
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/Start",
                .name = "tasks.start",
                .object = object,
                .default_ms = kSlowMs};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return response.pid();
}

Status Tasks::kill(const Call& call, const ContainerId& id, const ExecId& exec_id, int signal,
                   bool all) const {
  pb::KillRequest request;
  request.set_container_id(id.str());
  request.set_exec_id(exec_id.str());
  request.set_signal(static_cast<uint32_t>(signal));
  request.set_all(all);
  const std::string object = object_of(id, exec_id);
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/Kill", .name = "tasks.kill", .object = object};
  return transport().unary(call, rpc, request);
}

Result<ExitInfo> Tasks::remove(const Call& call, const ContainerId& id) const {
  pb::DeleteTaskRequest request;
  request.set_container_id(id.str());
  pb::DeleteResponse response;
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/Delete",
                .name = "tasks.delete",
                .object = id.str(),
                .default_ms = kSlowMs};
  const Status status = transport().unary(call, rpc, request, response);
  if (status.is_ok()) return exit_from(response);
  if (status.code() != Code::kInternal) return status;
  // containerd 1.6 says Unknown where later ones say FailedPrecondition.
  const Result<TaskInfo> task = get(call, id);
  if (task.is_ok() && is_running(task->status)) return conflict(status.message());
  return status;
}

WaitHandle Tasks::remove_async(const ContainerId& id, std::function<void(Result<ExitInfo>)> done) const {
  pb::DeleteTaskRequest request;
  request.set_container_id(id.str());
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/Delete",
                .name = "tasks.delete",
                .object = id.str(),
                .default_ms = 0};
  return WaitHandle(
      transport().unary_async(rpc, request, [done = std::move(done)](const Result<std::string>& bytes) {
        done(exit_from_bytes<pb::DeleteResponse>(bytes, "tasks.delete"));
      }));
}

Result<ExitInfo> Tasks::remove_exec(const Call& call, const ContainerId& id, const ExecId& exec_id) const {
  pb::DeleteProcessRequest request;
  request.set_container_id(id.str());
  request.set_exec_id(exec_id.str());
  pb::DeleteResponse response;
  const std::string object = object_of(id, exec_id);
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/DeleteProcess",
                .name = "tasks.delete",
                .object = object,
                .default_ms = kSlowMs};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return exit_from(response);
}

Status Tasks::exec(const Call& call, const ExecCreate& exec) const {
  pb::ExecProcessRequest request;
  request.set_container_id(exec.id.str());
  request.set_exec_id(exec.exec_id.str());
  fill_stdio(exec.stdio, request);
  request.mutable_spec()->set_type_url(kProcessType);
  request.mutable_spec()->set_value(exec.process_json);
  const std::string object = object_of(exec.id, exec.exec_id);
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/Exec", .name = "tasks.exec", .object = object};
  return transport().unary(call, rpc, request);
}

Status Tasks::resize_pty(const Call& call, const ContainerId& id, const ExecId& exec_id, uint32_t width,
                         uint32_t height) const {
  pb::ResizePtyRequest request;
  request.set_container_id(id.str());
  request.set_exec_id(exec_id.str());
  request.set_width(width);
  request.set_height(height);
  const std::string object = object_of(id, exec_id);
  const Rpc rpc{
      .path = "/containerd.services.tasks.v1.Tasks/ResizePty", .name = "tasks.resize", .object = object};
  return transport().unary(call, rpc, request);
}

Status Tasks::close_io(const Call& call, const ContainerId& id, const ExecId& exec_id) const {
  pb::CloseIORequest request;
  request.set_container_id(id.str());
  request.set_exec_id(exec_id.str());
  request.set_stdin(true);
  const std::string object = object_of(id, exec_id);
  const Rpc rpc{
      .path = "/containerd.services.tasks.v1.Tasks/CloseIO", .name = "tasks.close_io", .object = object};
  return transport().unary(call, rpc, request);
}

Result<TaskInfo> Tasks::get(const Call& call, const ContainerId& id, const ExecId& exec_id) const {
  pb::GetRequest request;
  request.set_container_id(id.str());
  request.set_exec_id(exec_id.str());
  pb::GetResponse response;
  const std::string object = object_of(id, exec_id);
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/Get", .name = "tasks.get", .object = object};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  TaskInfo task = task_from(response.process());
  task.id = id;
  task.exec_id = exec_id;
  return task;
}

Result<std::vector<TaskInfo>> Tasks::list(const Call& call) const {
  pb::ListTasksResponse response;
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/List", .name = "tasks.list"};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, pb::ListTasksRequest(), response));
  std::vector<TaskInfo> tasks;
  for (const auto& message : response.tasks()) tasks.push_back(task_from(message));
  return tasks;
}

Result<ExitInfo> Tasks::wait(const Call& call, const ContainerId& id, const ExecId& exec_id) const {
  pb::WaitRequest request;
  request.set_container_id(id.str());
  request.set_exec_id(exec_id.str());
  pb::WaitResponse response;
  const std::string object = object_of(id, exec_id);
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/Wait",
                .name = "tasks.wait",
                .object = object,
                .default_ms = 0};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return exit_from(response);
}

WaitHandle Tasks::wait_async(const ContainerId& id, const ExecId& exec_id,
                             std::function<void(Result<ExitInfo>)> done) const {
  pb::WaitRequest request;
  request.set_container_id(id.str());
  request.set_exec_id(exec_id.str());
  const std::string object = object_of(id, exec_id);
  const Rpc rpc{.path = "/containerd.services.tasks.v1.Tasks/Wait",
                .name = "tasks.wait",
                .object = object,
                .default_ms = 0};
  return WaitHandle(
      transport().unary_async(rpc, request, [done = std::move(done)](const Result<std::string>& bytes) {
        done(exit_from_bytes<pb::WaitResponse>(bytes, "tasks.wait"));
      }));
}

Status Tasks::pause(const Call& call, const ContainerId& id) const {
  pb::PauseTaskRequest request;
  request.set_container_id(id.str());
  const Rpc rpc{
      .path = "/containerd.services.tasks.v1.Tasks/Pause", .name = "tasks.pause", .object = id.str()};
  return transport().unary(call, rpc, request);
}

Status Tasks::resume(const Call& call, const ContainerId& id) const {
  pb::ResumeTaskRequest request;
  request.set_container_id(id.str());
  const Rpc rpc{
      .path = "/containerd.services.tasks.v1.Tasks/Resume", .name = "tasks.resume", .object = id.str()};
  return transport().unary(call, rpc, request);
}

Result<std::vector<uint32_t>> Tasks::list_pids(const Call& call, const ContainerId& id) const {
  pb::ListPidsRequest request;
  request.set_container_id(id.str());
  pb::ListPidsResponse response;
  const Rpc rpc{
      .path = "/containerd.services.tasks.v1.Tasks/ListPids", .name = "tasks.pids", .object = id.str()};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  std::vector<uint32_t> pids;
  for (const auto& process : response.processes()) pids.push_back(process.pid());
  return pids;
}

}  // namespace pouch::ctrd
