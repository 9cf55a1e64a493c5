#include <chrono>

#include "core/api/console_size.h"
#include "core/base/id.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_state.h"

namespace pouch {

using mock::Exec;
using mock::MockProcess;

Result<api::IdResult> MockEngine::exec_create(const std::string& id, const api::ExecConfig& config,
                                              const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const auto container, state_->find_container(id));
  if (!container->main.running) return conflict("container " + container->id + " is not running");
  if (config.cmd.value_or(std::vector<std::string>{}).empty())
    return invalid_argument("No exec command specified");
  POUCH_RETURN_IF_ERROR(parse_detach_keys(config.detach_keys.value_or("")).status());
  POUCH_RETURN_IF_ERROR(api::check_console_size(config.console_size, "ConsoleSize"));
  auto exec = std::make_shared<Exec>();
  exec->id = new_object_id();
  exec->container = container;
  exec->config = config;
  state_->execs[exec->id] = exec;
  state_->add_container_event(*container, "exec_create: " + config.cmd->at(0), {{"execID", exec->id}});
  return api::IdResult{exec->id};
}

Result<api::ExecInspect> MockEngine::exec_inspect(const std::string& id, const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  const auto at = state_->execs.find(id);
  if (at == state_->execs.end()) return not_found("No such exec instance: " + id);
  const Exec& exec = *at->second;
  api::ExecInspect out;
  out.id = exec.id;
  out.running = exec.main.running;
  if (exec.main.started && !exec.main.running) out.exit_code = int64_t{exec.main.exit_code};
  const auto& cmd = *exec.config.cmd;
  out.process_config.entrypoint = cmd[0];
  out.process_config.arguments = std::vector<std::string>(cmd.begin() + 1, cmd.end());
  out.process_config.tty = exec.config.tty.value_or(false);
  out.open_stdin = exec.config.attach_stdin.value_or(false);
  out.open_stdout = exec.config.attach_stdout.value_or(false);
  out.open_stderr = exec.config.attach_stderr.value_or(false);
  out.container_id = exec.container->id;
  return out;
}

namespace {

using PipePtr = std::shared_ptr<StreamPipe>;

/// What `config` may ask of an exec that has not been started.
Status check_start(const Exec& exec, const api::ExecStartConfig& config) {
  if (exec.main.started) return conflict("Error: Exec command " + exec.id + " is already running");
  if (!exec.container->main.running) return conflict("container " + exec.container->id + " is not running");
  if (config.tty.value_or(false) != exec.config.tty.value_or(false)) {
    return invalid_argument("Tty of exec " + exec.id + " differs from the one that it was made with");
  }
  return Status::ok();
}

/// What happens to a started exec's output and at its end.
MockProcess::Hooks hooks_of(std::shared_ptr<mock::State> state, const std::shared_ptr<Exec>& exec) {
  const auto output = [exec](Channel channel, const std::string& bytes) {
    for (const mock::Attached& client : exec->main.attached) {
      if (channel == Channel::kStdout ? client.out : client.err) client.pipe->push(channel, bytes).ignore();
    }
  };
  const auto exited = [state = std::move(state), exec](int code) {
    const std::lock_guard lock(state->mutex);
    exec->main.running = false;
    exec->main.exit_code = code;
    state->add_container_event(*exec->container, "exec_die",
                               {{"execID", exec->id}, {"exitCode", std::to_string(code)}});
    for (const mock::Attached& client : exec->main.attached) {
      client.pipe->finish("{\"ExitCode\":" + std::to_string(code) + "}");
    }
  };
  return {output, exited};
}

void carry_resizes(const std::shared_ptr<mock::State>& state, const std::shared_ptr<Exec>& exec,
                   const PipePtr& pipe) {
  pipe->on_resize([state, weak = std::weak_ptr(exec)](uint32_t rows, uint32_t columns) {
    const auto alive = weak.lock();
    return alive ? state->resize(alive->main, rows, columns, "exec " + alive->id)
                 : conflict("the exec is gone");
  });
}

/// The client's bytes, up to its end or its detach keys.
mock::Input input_of(const std::shared_ptr<mock::State>& state, const std::shared_ptr<Exec>& exec,
                     const PipePtr& pipe) {
  const bool terminal = exec->config.tty.value_or(false);
  mock::Input input{pipe, exec, exec->main, !terminal, std::nullopt, nullptr};
  if (terminal) input.keys.emplace(*parse_detach_keys(exec->config.detach_keys.value_or("")));
  input.on_detach = [state, exec] {
    state->add_container_event(*exec->container, "exec_detach", {{"execID", exec->id}});
    return std::string("{}");
  };
  return input;
}

}  // namespace

Result<StreamPtr> MockEngine::exec_start(const std::string& id, const api::ExecStartConfig& config,
                                         const Call& /*call*/) {
  POUCH_RETURN_IF_ERROR(api::check_console_size(config.console_size, "ConsoleSize"));
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  std::shared_ptr<Exec> exec;
  const bool detach = config.detach.value_or(false);
  {
    const std::lock_guard lock(state_->mutex);
    const auto at = state_->execs.find(id);
    if (at == state_->execs.end()) return not_found("No such exec instance: " + id);
    exec = at->second;
    POUCH_RETURN_IF_ERROR(check_start(*exec, config));
    if (config.console_size) exec->config.console_size = config.console_size;
    exec->main.started = true;
    exec->main.running = true;
    if (!detach) {
      exec->main.attached.push_back(
          {pipe, exec->config.attach_stdout.value_or(false), exec->config.attach_stderr.value_or(false)});
    }
    state_->add_container_event(*exec->container, "exec_start: " + exec->config.cmd->at(0),
                                {{"execID", exec->id}});
  }
  StreamPtr stream = pipe->open();
  MockProcess::Hooks hooks = hooks_of(state_, exec);
  if (detach) pipe->finish(std::string("{}"));
  if (const Status known = MockProcess::check(*exec->config.cmd); !known.is_ok()) {
    hooks.output(Channel::kStdout, "OCI runtime exec failed: exec failed: " + known.message() + "\r\n");
    hooks.exited(127);
    return stream;
  }
  const bool has_stdin = exec->config.attach_stdin.value_or(false) && !detach;
  exec->main.process = std::make_shared<MockProcess>(
      *exec->config.cmd, has_stdin, mock::terminal_of(exec->config.tty, exec->config.console_size),
      std::move(hooks));
  exec->main.process->start();
  if (exec->config.tty.value_or(false) && !detach) carry_resizes(state_, exec, pipe);
  if (has_stdin) pump_stdin(input_of(state_, exec, pipe));
  return stream;
}

Status MockEngine::exec_resize(const std::string& id, const api::ExecResizeOptions& options,
                               const Call& /*call*/) {
  POUCH_RETURN_IF_ERROR(mock::check_size(options.h, options.w));
  std::shared_ptr<Exec> exec;
  {
    const std::lock_guard lock(state_->mutex);
    const auto at = state_->execs.find(id);
    if (at == state_->execs.end()) return not_found("No such exec instance: " + id);
    exec = at->second;
  }
  return state_->resize(exec->main, options.h, options.w, "exec " + id);
}

}  // namespace pouch
