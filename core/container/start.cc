#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "core/api/detach_keys.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/container/config_merge.h"
#include "core/container/container_files.h"
#include "core/container/end_task.h"
#include "core/container/manager_impl.h"
#include "core/container/name_server.h"
#include "core/container/rootfs_files.h"
#include "core/container/runtime_failure.h"
#include "core/container/validation.h"
#include "core/ctrd/containers.h"
#include "core/ctrd/snapshots.h"
#include "core/spec/ports.h"
#include "core/sys/systemd_scope.h"

namespace pouch {

using container::ContainerRow;
using container::ProcessKey;
using container::StartJob;
namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 60'000;  // for one step of a start
constexpr int64_t kSettleMs = 120'000;

Status make_dir(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_status(errno, "create folder " + path);
  return {};
}

// The container's log attributes: the labels and variables that the log options name.
std::map<std::string, std::string> log_attributes(const StartJob& job) {
  std::map<std::string, std::string> attrs;
  const auto options = job.host.log_config.value_or(api::LogConfig{}).config;
  if (!options) return attrs;
  const auto names = [&](const char* key) {
    const auto at = options->find(key);
    return at == options->end() ? std::vector<std::string>() : split(at->second, ',');
  };
  for (const std::string& name : names("labels")) {
    if (!job.config.labels) break;
    if (const auto at = job.config.labels->find(name); at != job.config.labels->end()) attrs.insert(*at);
  }
  for (const std::string& name : names("env")) {
    for (const std::string& entry : job.config.env.value_or(std::vector<std::string>{})) {
      if (entry.starts_with(name + "=")) attrs[name] = entry.substr(name.size() + 1);
    }
  }
  return attrs;
}

Result<io::StdioSpec> stdio_spec(const StartJob& job) {
  io::StdioSpec stdio;
  stdio.stream_id = job.row.id.str();
  stdio.container_id = job.row.id.str();
  stdio.generation = job.row.generation;
  stdio.want_stdin = job.config.open_stdin.value_or(false);
  stdio.tty = job.config.tty.value_or(false);
  // A terminal has no end that a client could give it.
  stdio.stdin_once = job.config.stdin_once.value_or(false) && !stdio.tty;
  POUCH_ASSIGN_OR_RETURN(const container::LogOptions log, container::parse_log_options(job.host));
  stdio.log.driver = log.driver;
  stdio.log.path = job.row.log_path;
  stdio.log.max_size = log.max_size;
  stdio.log.max_file = log.max_file;
  stdio.log.attrs = log_attributes(job);
  return stdio;
}

ctrd::StdioPaths to_ctrd(const io::StdioPaths& paths, bool terminal) {
  ctrd::StdioPaths out;
  out.stdin_path = paths.stdin_path;
  out.stdout_path = paths.stdout_path;
  out.stderr_path = paths.stderr_path;
  out.terminal = terminal;
  return out;
}

}  // namespace

Result<StartJob> ContainerManager::Impl::claim_start(const std::string& reference, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, call));
  StartJob job;
  POUCH_ASSIGN_OR_RETURN(job.row, container::find_container(transaction, reference));
  ContainerRow& row = job.row;
  if (row.is_running() && row.paused) {
    return conflict("cannot start a paused container, try unpause instead");
  }
  if (row.state == state::kRunning) {
    return Status(Code::kNotModified, "container " + row.id.str() + " is already running");
  }
  if (row.state == state::kRemoving || row.state == state::kDead) {
    return conflict("container is marked for removal and cannot be started");
  }
  if (row.state == state::kCreating) return not_found("No such container: " + reference);
  if (row.state != state::kCreated && row.state != state::kExited) {
    return Status(Code::kUnavailable, "container " + row.id.str() + " is in another transition");
  }
  job.previous_state = row.state;
  POUCH_ASSIGN_OR_RETURN(job.config, row.config());
  POUCH_ASSIGN_OR_RETURN(job.host, row.host_config());
  POUCH_RETURN_IF_ERROR(
      transaction
          .run("UPDATE containers SET state = 'starting', owner_token = ?2, generation = generation + 1, "
               "boot_id = ?3, stopping = 0, paused = 0 WHERE id = ?1",
               row.id, context.owner_token, context.boot_id)
          .status());
  POUCH_RETURN_IF_ERROR(transaction.commit());
  row.state = state::kStarting;
  row.owner = context.owner_token;
  row.generation += 1;
  return job;
}

spec::SpecInput ContainerManager::Impl::spec_input(const ContainerId& id, const api::ContainerConfig& config,
                                                   const api::HostConfig& host) const {
  spec::SpecInput input;
  input.id = id;
  input.config = config;
  input.host = host;
  input.args = container::command_line(config);
  input.hostname = config.hostname.value_or("");
  std::string parent = host.cgroup_parent.value_or("");
  if (parent.empty()) parent = sys::root_cgroup(context.ns);
  if (parent.front() != '/') parent.insert(parent.begin(), '/');
  input.cgroups_path = parent + "/" + id.str();
  input.host_network = host.network_mode.value_or("") == "host";
  return input;
}

Result<ctrd::ContainerRecord> ContainerManager::Impl::container_record(
    StartJob& job, const std::vector<ctrd::Mount>& rootfs) {
  const RuntimeOptions* runtime = context.find_runtime(job.row.runtime);
  if (runtime == nullptr) return invalid_argument("unknown or invalid runtime name: " + job.row.runtime);
  spec::SpecInput input = spec_input(job.row.id, job.config, job.host);
  POUCH_ASSIGN_OR_RETURN(input.mounts, spec::plan_mounts(job.host));
  POUCH_RETURN_IF_ERROR(attach_mounts(job, input.mounts));
  POUCH_RETURN_IF_ERROR(container::prepare_bind_sources(input.mounts, true));
  POUCH_RETURN_IF_ERROR(container::check_propagations(input.mounts));
  POUCH_RETURN_IF_ERROR(container::settle_read_only(input.mounts, runtime_features, runtime_use(job.row)));
  const ContainerId& shared_with = job.network.shared_with;
  const bool is_guest = !shared_with.str().empty();
  const auto paths = container::container_paths(context.root_dir(), is_guest ? shared_with : job.row.id);
  if (is_guest) {
    POUCH_ASSIGN_OR_RETURN(const auto other, load(shared_with));
    if (!other) return not_found("No such container: " + shared_with.str());
    POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, other->config());
    input.hostname = config.hostname.value_or("");
  } else {
    POUCH_RETURN_IF_ERROR(container::write_container_files(paths, job.config, job.host, job.network));
  }
  input.netns_path = job.network.netns_path;
  input.host_network = job.network.is_host;
  input.engine_files = container::file_mounts(paths, input.mounts, job.host.readonly_rootfs.value_or(false));

  const std::string user = job.config.user.value_or("");
  const auto groups = job.host.group_add.value_or(std::vector<std::string>{});
  auto passwd = container::read_rootfs_file(rootfs, "etc/passwd");
  auto group = container::read_rootfs_file(rootfs, "etc/group");
  const bool by_number = spec::is_numeric_user(user) && groups.empty();
  if (!passwd.is_ok() && !by_number) return passwd.status();
  if (!group.is_ok() && !by_number) return group.status();
  POUCH_ASSIGN_OR_RETURN(input.user, spec::resolve_user(user, groups, passwd.is_ok() ? *passwd : "",
                                                        group.is_ok() ? *group : ""));
  POUCH_ASSIGN_OR_RETURN(spec::SpecOutput spec, spec::build_oci_spec(input, facts()));

  ctrd::ContainerRecord record;
  record.id = job.row.id;
  record.labels["pouch.root"] = context.root_id;
  record.runtime_name = runtime->shim;
  record.runtime_options = ctrd::RuncOptions{};
  record.runtime_options->binary_name = runtime->binary_name;
  // The runtime's own state belongs to the root, too: the shim's default is one folder for the whole host.
  record.runtime_options->root = context.run_dir() + "/runtime";
  record.spec_json = std::move(spec.json);
  record.snapshotter = job.row.snapshotter;
  record.snapshot_key = job.row.snapshot_key;
  return record;
}

// What a crash left of an earlier run is removed first.
Status ContainerManager::Impl::create_record(StartJob& job, const ctrd::ContainerRecord& record) {
  const Call call = own_call(kStepMs);
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  Status status = client->containers().create(call, record);
  if (status.code() == Code::kAlreadyExists) {
    POUCH_RETURN_IF_ERROR(container::end_task(*client, record.id));
    POUCH_RETURN_IF_ERROR(client->containers().remove(call, record.id));
    status = client->containers().create(call, record);
  }
  job.has_record = status.is_ok();
  return status;
}

Status ContainerManager::Impl::create_task(StartJob& job, const std::vector<ctrd::Mount>& rootfs,
                                           const io::StdioPaths& stdio, uint32_t& pid) {
  const Call call = own_call(kStepMs);
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  ctrd::TaskCreate task;
  task.id = job.row.id;
  task.rootfs = rootfs;
  task.stdio = to_ctrd(stdio, job.config.tty.value_or(false));
  auto created = client->tasks().create(call, task);
  if (!created.is_ok()) {
    job.has_task = true;  // perhaps: the answer may have been lost
    return task_failure(job, created.status());
  }
  job.has_task = true;
  // Before the start, or the end of a quick one is missed.
  watch_process({job.row.id, job.row.generation, {}});
  const auto started = client->tasks().start(call, job.row.id);
  if (!started.is_ok()) return task_failure(job, started.status());
  pid = *started;
  return {};
}

container::RuntimeUse ContainerManager::Impl::runtime_use(const container::ContainerRow& row) const {
  const RuntimeOptions* const runtime = context.find_runtime(row.runtime);
  return {row.runtime.empty() ? context.options.default_runtime : row.runtime,
          runtime == nullptr ? RuntimeOptions() : *runtime, context.options.containerd_address};
}

Status ContainerManager::Impl::task_failure(const StartJob& job, const Status& why) const {
  return container::explain_task_failure(foreign_reason(why), runtime_use(job.row));
}

Status ContainerManager::Impl::launch(StartJob& job) {
  const Call call = own_call(kStepMs);
  const auto paths = container::container_paths(context.root_dir(), job.row.id);
  POUCH_RETURN_IF_ERROR(make_dir(context.root_dir() + "/containers"));
  POUCH_RETURN_IF_ERROR(make_dir(paths.dir));
  POUCH_ASSIGN_OR_RETURN(const io::StdioSpec spec, stdio_spec(job));
  io::StdioPaths stdio;
  container::Beside open_stdio(*context.executor, [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(call));
    POUCH_ASSIGN_OR_RETURN(stdio, keeper->open_stdio(spec, call.deadline));
    return {};
  });
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  if (job.row.auto_remove) task_remover.listen(client);
  container::Beside old_record(*context.executor, [&]() -> Status {
    const bool has_run = job.previous_state == state::kExited;
    return has_run ? client->containers().remove(call, job.row.id) : Status();
  });
  POUCH_ASSIGN_OR_RETURN(job.network, networks.attach(job.row.id, job.row.generation,
                                                      spec::with_all_published(job.config, job.host), call));
  bool has_server = job.network.has_names;
  container::Beside build_network(*context.executor, [&]() -> Status {
    POUCH_RETURN_IF_ERROR(networks.build(job.network, call));
    if (!has_server) return {};
    POUCH_ASSIGN_OR_RETURN(has_server, container::serve_names(context, job.network, call));
    return {};
  });
  POUCH_ASSIGN_OR_RETURN(const auto rootfs,
                         client->snapshots().mounts(call, job.row.snapshotter, job.row.snapshot_key));
  POUCH_ASSIGN_OR_RETURN(const ctrd::ContainerRecord record, container_record(job, rootfs));
  old_record.join().ignore();  // what is still there then create_record finds
  POUCH_RETURN_IF_ERROR(create_record(job, record));
  POUCH_RETURN_IF_ERROR(open_stdio.join());
  POUCH_RETURN_IF_ERROR(build_network.join());
  if (has_server != job.network.has_names) {
    job.network.has_names = has_server;
    POUCH_RETURN_IF_ERROR(container::write_resolv_conf(paths, job.host, job.network));
  }
  uint32_t pid = 0;
  POUCH_RETURN_IF_ERROR(create_task(job, rootfs, stdio, pid));
  if (job.staged) POUCH_RETURN_IF_ERROR(job.staged->clear());
  if (spec.want_stdin) {
    POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(call));
    POUCH_RETURN_IF_ERROR(keeper->mark_started(spec.stream_id, call.deadline));
  }
  return commit_running(job, pid);
}

Status ContainerManager::Impl::commit_running(const StartJob& job, uint32_t pid) {
  const ContainerRow& row = job.row;
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
  POUCH_ASSIGN_OR_RETURN(
      const int64_t changed,
      transaction.run("UPDATE containers SET state = 'running', pid = ?4, exit_code = 0, error = '', "
                      "oom_killed = 0, started_ns = ?5, finished_ns = NULL "
                      "WHERE id = ?1 AND generation = ?2 AND owner_token = ?3 AND state = 'starting'",
                      row.id, row.generation, context.owner_token, pid, Timestamp::now()));
  if (changed != 1) return internal_error("start container " + quote(row.name) + ": it was taken over");
  POUCH_RETURN_IF_ERROR(tell_mounts(transaction, row.id, "mount").status());
  POUCH_RETURN_IF_ERROR(append_event(transaction, row, job.config, "start"));
  return transaction.commit();
}

Status ContainerManager::Impl::undo_start(StartJob& job, const Status& why) {
  const ContainerRow& row = job.row;
  const Call call = own_call(kStepMs);
  forget_process({row.id, row.generation, {}});
  const auto client = containerd(call);
  // As long as there may be a task the start is not undone: containerd may be on its way back.
  if (job.has_task) {
    POUCH_RETURN_IF_ERROR(client.is_ok() ? container::end_task(**client, row.id) : client.status());
  }
  if (client.is_ok() && job.has_record) (*client)->containers().remove(call, row.id).ignore();
  discard_stream(row.id.str(), why.message()).ignore();
  remove_cgroup(row.id);
  job.staged.reset();
  POUCH_RETURN_IF_ERROR(
      container::clear_staging(container::staging_dir(context.run_dir(), row.id, row.generation)));
  const int code = container::exit_code_of_failure(why.message());
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, call));
  const std::string next(row.auto_remove ? state::kRemoving : std::string_view(job.previous_state));
  const std::optional<std::string> owner =
      row.auto_remove ? std::optional<std::string>(context.owner_token) : std::nullopt;
  POUCH_ASSIGN_OR_RETURN(
      const int64_t changed,
      transaction.run("UPDATE containers SET state = ?4, owner_token = ?5, pid = 0, exit_code = ?6, "
                      "error = ?7 "
                      "WHERE id = ?1 AND generation = ?2 AND owner_token = ?3 AND state = 'starting'",
                      row.id, row.generation, context.owner_token, next, owner, code, why.message()));
  if (changed == 1) POUCH_RETURN_IF_ERROR(networks.detach(transaction, row.id, row.generation));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  networks.sweep_soon();
  volumes.sweep_soon();
  if (changed == 1 && row.auto_remove) {
    return remove_claimed(row, {{container::kFailedStartAttribute, std::to_string(code)}});
  }
  return {};
}

Status ContainerManager::Impl::start_now(const std::string& reference, const Call& call) {
  Result<StartJob> job = claim_start(reference, own_call(kStepMs));
  while (job.code() == Code::kUnavailable) {  // in a transition: as it will be after it
    POUCH_ASSIGN_OR_RETURN(const container::SeenContainer seen, see(reference));
    POUCH_RETURN_IF_ERROR(await_settled(seen.row.id, call.deadline.earlier(Deadline::after_ms(kSettleMs))));
    job = claim_start(reference, own_call(kStepMs));
  }
  if (!job.is_ok()) return job.status();
  const Status status = launch(*job);
  if (!status.is_ok()) {
    if (const Status undone = undo_start(*job, status); !undone.is_ok()) {
      log_warning("container", "undo of a failed start: " + undone.message(), job->row.id.str());
      undo_later(std::make_shared<container::StartJob>(std::move(*job)), status);
    }
    return status;
  }
  // It may have ended already.
  const ProcessKey key{job->row.id, job->row.generation, {}};
  if (known_exit(key)) submit([this, key] { handle_exit(key); });
  return {};
}

Status ContainerManager::Impl::start(const std::string& reference, const api::ContainerStartOptions& options,
                                     const Call& call) {
  POUCH_RETURN_IF_ERROR(parse_detach_keys(options.detach_keys.value_or("")).status());
  return detached<Status>(call, [this, reference, call] { return start_now(reference, call); });
}

}  // namespace pouch
