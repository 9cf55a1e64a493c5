#include <signal.h>

#include "core/api/console_size.h"
#include "core/api/detach_keys.h"
#include "core/base/base64.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/container/exec_run.h"
#include "core/container/manager_impl.h"
#include "core/container/rootfs_files.h"
#include "core/container/validation.h"
#include "core/store/session_objects.h"

namespace pouch {

using container::ContainerRow;
using container::ExecRow;
using container::ExecRun;
using container::ProcessKey;
namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 60'000;
constexpr int64_t kKeepExecNs = 300LL * 1'000'000'000;  // an exec that has ended is forgotten after that

Status check_exec_config(const api::ExecConfig& config) {
  if (!config.cmd || config.cmd->empty()) return invalid_argument("No exec command specified");
  for (const std::string& entry : config.env.value_or(std::vector<std::string>{})) {
    if (entry.empty() || entry.front() == '=' || entry.find('\0') != std::string::npos) {
      return invalid_argument("invalid environment variable: " + quote(entry));
    }
  }
  POUCH_RETURN_IF_ERROR(api::check_console_size(config.console_size, "ConsoleSize"));
  return parse_detach_keys(config.detach_keys.value_or("")).status();
}

// Execs start only in a container that runs.
Status check_runs(const ContainerRow& row) {
  if (row.state != state::kRunning) return conflict("Container " + row.id.str() + " is not running");
  if (row.paused) {
    return conflict("Container " + row.id.str() + " is paused, unpause the container before exec");
  }
  return {};
}

std::string command_text(const api::ExecConfig& config) {
  return join(config.cmd.value_or(std::vector<std::string>{}), " ");
}

}  // namespace

Result<api::IdResult> ContainerManager::Impl::exec_create(const std::string& reference,
                                                          const api::ExecConfig& config, const Call& call) {
  POUCH_RETURN_IF_ERROR(check_exec_config(config));
  using Answer = Result<api::IdResult>;
  return detached<Answer>(call, [this, reference, config, session = call.session]() -> Answer {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
    POUCH_ASSIGN_OR_RETURN(const ContainerRow row, container::find_container(transaction, reference));
    POUCH_RETURN_IF_ERROR(check_runs(row));
    const Timestamp now = Timestamp::now();
    POUCH_RETURN_IF_ERROR(container::drop_old_execs(transaction, {now.ns - kKeepExecNs}));
    ExecRow exec;
    exec.id = ExecId(new_object_id());
    exec.container_id = row.id;
    exec.generation = row.generation;
    exec.state = state::kCreated;
    exec.boot_id = context.boot_id;
    exec.config_json = api::to_json_text(config);
    exec.created = now;
    POUCH_RETURN_IF_ERROR(container::insert_exec(transaction, exec));
    POUCH_RETURN_IF_ERROR(store::claim_for_session(transaction, session, store::kind::kExec, exec.id.str()));
    POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig made, row.config());
    POUCH_RETURN_IF_ERROR(append_event(transaction, row, made, "exec_create: " + command_text(config),
                                       {{"execID", exec.id.str()}}));
    POUCH_RETURN_IF_ERROR(transaction.commit());
    return api::IdResult{exec.id.str()};
  });
}

Result<api::ExecInspect> ContainerManager::Impl::exec_inspect(const std::string& id) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
  POUCH_ASSIGN_OR_RETURN(const ExecRow row, container::find_exec(snapshot, id));
  POUCH_ASSIGN_OR_RETURN(const api::ExecConfig config, row.config());
  api::ExecInspect out;
  out.id = row.id.str();
  out.running = row.state == state::kRunning || row.state == state::kExiting;
  if (row.exit_code && !out.running) out.exit_code = *row.exit_code;
  std::vector<std::string> command = config.cmd.value_or(std::vector<std::string>{});
  if (!command.empty()) {
    out.process_config.entrypoint = command.front();
    command.erase(command.begin());
  }
  out.process_config.arguments = std::move(command);
  out.process_config.tty = config.tty.value_or(false);
  out.process_config.privileged = config.privileged.value_or(false);
  out.process_config.user = config.user;
  out.open_stdin = config.attach_stdin.value_or(false);
  out.open_stdout = config.attach_stdout.value_or(false);
  out.open_stderr = config.attach_stderr.value_or(false);
  out.can_remove = row.state == state::kExited;
  out.container_id = row.container_id.str();
  POUCH_ASSIGN_OR_RETURN(const std::string keys, parse_detach_keys(config.detach_keys.value_or("")));
  if (!keys.empty()) out.detach_keys = base64_encode(keys);
  out.pid = row.pid;
  return out;
}

Result<std::shared_ptr<ExecRun>> ContainerManager::Impl::claim_exec(const std::string& id,
                                                                    const api::ExecStartConfig& config) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
  auto run = std::make_shared<ExecRun>();
  POUCH_ASSIGN_OR_RETURN(run->row, container::find_exec(transaction, id));
  POUCH_ASSIGN_OR_RETURN(run->config, run->row.config());
  if (config.tty.value_or(false) != run->config.tty.value_or(false)) {
    return invalid_argument("Tty of exec " + id + " differs from the one that it was made with");
  }
  if (run->row.state == state::kExited) {
    return conflict("exec command " + id + " has already run");
  }
  if (run->row.state != state::kCreated) return conflict("Error: Exec command " + id + " is already running");
  POUCH_ASSIGN_OR_RETURN(const auto row, container::load_container(transaction, run->row.container_id));
  if (!row) return not_found("No such exec instance: " + id);
  POUCH_RETURN_IF_ERROR(check_runs(*row));
  if (row->generation != run->row.generation) {
    return conflict("Container " + row->id.str() + " was restarted since exec " + id + " was made");
  }
  run->container = *row;
  run->detach = config.detach.value_or(false);
  POUCH_RETURN_IF_ERROR(api::check_console_size(config.console_size, "ConsoleSize"));
  if (config.console_size) run->config.console_size = config.console_size;
  POUCH_RETURN_IF_ERROR(
      transaction
          .run("UPDATE execs SET state = 'starting', owner_token = ?2, boot_id = ?3 WHERE id = ?1",
               run->row.id, context.owner_token, context.boot_id)
          .status());
  POUCH_ASSIGN_OR_RETURN(run->seq, events::EventLog::last_seq(transaction));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return run;
}

Result<std::string> ContainerManager::Impl::exec_process(const ExecRun& run) {
  POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, run.container.config());
  POUCH_ASSIGN_OR_RETURN(const api::HostConfig host, run.container.host_config());
  std::string user = run.config.user.value_or("");
  const auto groups =
      user.empty() ? host.group_add.value_or(std::vector<std::string>{}) : std::vector<std::string>{};
  if (user.empty()) user = config.user.value_or("");
  // As the running container has them now.
  const std::string root = "/proc/" + std::to_string(run.container.pid) + "/root";
  POUCH_ASSIGN_OR_RETURN(const std::string passwd, container::read_file_below(root, "etc/passwd"));
  POUCH_ASSIGN_OR_RETURN(const std::string group, container::read_file_below(root, "etc/group"));
  POUCH_ASSIGN_OR_RETURN(const spec::User as, spec::resolve_user(user, groups, passwd, group));
  POUCH_ASSIGN_OR_RETURN(
      spec::SpecOutput output,
      spec::build_exec_process(spec_input(run.container.id, config, host), run.config, as, facts()));
  return std::move(output.json);
}

Status ContainerManager::Impl::launch_exec(ExecRun& run) {
  const Call call = own_call(kStepMs);
  io::StdioSpec stdio;
  stdio.stream_id = run.row.id.str();
  stdio.container_id = run.row.container_id.str();
  stdio.generation = run.row.generation;
  stdio.want_stdin = run.config.attach_stdin.value_or(false) && !run.detach;
  stdio.tty = run.config.tty.value_or(false);
  stdio.stdin_once = !stdio.tty;  // a terminal has no end that a client could give it
  stdio.log.driver = "none";
  io::StdioPaths paths;
  container::Beside open_stdio(*context.executor, [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(call));
    POUCH_ASSIGN_OR_RETURN(paths, keeper->open_stdio(stdio, call.deadline));
    if (run.detach) return {};
    const auto find_keeper = [this](Deadline deadline) { return context.keeper({deadline, nullptr, {}}); };
    return run.attach(find_keeper, call.deadline);
  });
  ctrd::ExecCreate exec;
  POUCH_ASSIGN_OR_RETURN(exec.process_json, exec_process(run));
  POUCH_RETURN_IF_ERROR(open_stdio.join());
  exec.id = run.row.container_id;
  exec.exec_id = run.row.id;
  exec.stdio = {paths.stdin_path, paths.stdout_path, paths.stderr_path, stdio.tty};
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  run.added = true;
  POUCH_RETURN_IF_ERROR(client->tasks().exec(call, exec));
  const ProcessKey key{run.row.container_id, run.row.generation, run.row.id};
  watch_process(key);
  POUCH_ASSIGN_OR_RETURN(const uint32_t pid, client->tasks().start(call, exec.id, exec.exec_id));
  if (stdio.want_stdin) {
    POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(call));
    POUCH_RETURN_IF_ERROR(keeper->mark_started(stdio.stream_id, call.deadline));
  }
  POUCH_RETURN_IF_ERROR(commit_exec_running(run, pid));
  if (known_exit(key)) submit([this, key] { handle_exec_exit(key); });
  return {};
}

Status ContainerManager::Impl::commit_exec_running(const ExecRun& run, uint32_t pid) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
  POUCH_RETURN_IF_ERROR(transaction
                            .run("UPDATE execs SET state = 'running', pid = ?3, started_ns = ?4 "
                                 "WHERE id = ?1 AND owner_token = ?2 AND state = 'starting'",
                                 run.row.id, context.owner_token, pid, Timestamp::now())
                            .status());
  POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, run.container.config());
  POUCH_RETURN_IF_ERROR(append_event(transaction, run.container, config,
                                     "exec_start: " + command_text(run.config),
                                     {{"execID", run.row.id.str()}}));
  return transaction.commit();
}

void ContainerManager::Impl::fail_exec(const ExecRun& run, const Status& why, int64_t exit_code) {
  const Call call = own_call(kStepMs);
  forget_process({run.row.container_id, run.row.generation, run.row.id});
  if (const auto client = containerd(call); client.is_ok() && run.added) {
    (*client)->tasks().remove_exec(call, run.row.container_id, run.row.id).status().ignore();
  }
  discard_stream(run.row.id.str(), why.message()).ignore();
  const auto write = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, call));
    POUCH_RETURN_IF_ERROR(
        transaction
            .run(
                "UPDATE execs SET state = 'exited', owner_token = NULL, pid = 0, exit_code = ?2, error = ?3, "
                "finished_ns = ?4 WHERE id = ?1 AND state IN ('starting', 'running')",
                run.row.id, exit_code, why.message(), Timestamp::now())
            .status());
    return transaction.commit();
  };
  if (const Status status = insist(write); !status.is_ok()) {
    log_error("container", "record an exec's failure: " + status.message(), run.row.container_id.str());
  }
}

void ContainerManager::Impl::handle_exec_exit(const ProcessKey& key) {
  const auto exit = known_exit(key);
  if (!exit) return;
  ExecRow row;
  const auto claim = [&]() -> Result<bool> {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
    POUCH_ASSIGN_OR_RETURN(const int64_t changed,
                           transaction.run("UPDATE execs SET state = 'exiting', exit_code = ?3 "
                                           "WHERE id = ?1 AND state = 'running' AND owner_token = ?2",
                                           key.exec, context.owner_token, int64_t{exit->status}));
    if (changed != 1) return false;
    POUCH_ASSIGN_OR_RETURN(row, container::find_exec(transaction, key.exec.str()));
    POUCH_RETURN_IF_ERROR(transaction.commit());
    return true;
  };
  const auto claimed = claim();
  if (!claimed.is_ok()) log_error("container", "claim an exec's exit: " + claimed.status().message());
  if (!claimed.is_ok() || !*claimed) return;
  drop_exit(key);
  finish_exec(row, exit->status);
}

void ContainerManager::Impl::finish_exec(const ExecRow& row, int64_t exit_code) {
  const Call call = own_call(kStepMs);
  container::Beside drain(*context.executor, [&] { return drain_stream(row.id.str()); });
  if (const auto client = containerd(call); client.is_ok()) {
    (*client)->tasks().remove_exec(call, row.container_id, row.id).status().ignore();  // gone with its task
  }
  if (const Status drained = drain.join(); !drained.is_ok()) {
    log_warning("container", "drain an exec's output: " + drained.message(), row.container_id.str());
  }
  const auto write = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, call));
    POUCH_ASSIGN_OR_RETURN(
        const int64_t changed,
        transaction.run("UPDATE execs SET state = 'exited', owner_token = NULL, exit_code = ?2, "
                        "finished_ns = ?3 WHERE id = ?1 AND state <> 'exited'",
                        row.id, exit_code, Timestamp::now()));
    POUCH_ASSIGN_OR_RETURN(const auto made_in, container::load_container(transaction, row.container_id));
    if (changed != 1 || !made_in) return {};
    POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, made_in->config());
    POUCH_RETURN_IF_ERROR(append_event(transaction, *made_in, config, "exec_die",
                                       {{"execID", row.id.str()}, {"exitCode", std::to_string(exit_code)}}));
    return transaction.commit();
  };
  if (const Status status = insist(write); !status.is_ok()) {
    log_error("container", "record an exec's exit: " + status.message(), row.container_id.str());
  }
}

Result<StreamPtr> ContainerManager::Impl::exec_start(const std::string& id,
                                                     const api::ExecStartConfig& config, const Call& call) {
  using Answer = Result<std::shared_ptr<ExecRun>>;
  POUCH_ASSIGN_OR_RETURN(
      const std::shared_ptr<ExecRun> run, detached<Answer>(call, [this, id, config]() -> Answer {
        POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ExecRun> made, claim_exec(id, config));
        made->follow(*context.events);
        made->failure = launch_exec(*made);
        if (made->failure.is_ok()) return made;
        made->failure = container::exec_failure(foreign_reason(made->failure), made->exit_code);
        fail_exec(*made, made->failure, made->failed_in_runtime() ? made->exit_code : 126);
        return made;
      }));
  if (!run->failure.is_ok() && (run->detach || !run->failed_in_runtime())) return run->failure;
  run->on_detach = [this, row = run->container, exec = run->row.id] {
    tell(row, "exec_detach", {{"execID", exec.str()}});
  };
  if (run->config.tty.value_or(false)) {
    run->on_resize = [this, exec = run->row.id](uint32_t rows, uint32_t columns) {
      return exec_resize(exec.str(), rows, columns, own_call(kStepMs));
    };
  }
  return run->open(*streams, closers, inflight);
}

}  // namespace pouch
