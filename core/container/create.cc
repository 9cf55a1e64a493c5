#include <unistd.h>

#include <array>

#include "core/base/log.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/container/config_merge.h"
#include "core/container/container_files.h"
#include "core/container/manager_impl.h"
#include "core/container/names.h"
#include "core/container/processors.h"
#include "core/container/validation.h"
#include "core/ctrd/snapshots.h"
#include "core/store/session_objects.h"

namespace pouch {

using container::ContainerRow;
namespace state = container::state;

namespace {

constexpr int kNameAttempts = 10;
constexpr int64_t kPrepareMs = 60'000;

std::string short_id(const ContainerId& id) {
  return id.str().substr(0, 12);
}

Status with_image_hint(const Status& status) {
  if (status.code() != Code::kNotFound || !status.details_json().empty()) return status;
  Json details = json_object();
  details["hint"] =
      "load it from an archive (image.load) or make it from a root filesystem (image.from_rootfs)";
  return {status.code(), status.message(), write_json(details)};
}

Status check_platform(const std::string& platform, const std::string& reference,
                      const ImageForContainer& image) {
  if (platform.empty()) return {};
  const auto parts = split(platform, '/');
  if (parts.size() > 3 || parts[0].empty()) {
    return invalid_argument("invalid platform " + quote(platform));
  }
  const bool same_os = parts[0] == image.os;
  const bool same_architecture = parts.size() < 2 || parts[1] == image.architecture;
  if (same_os && same_architecture) return {};
  return not_found("image with reference " + reference +
                   " was found but does not match the specified platform: wanted " + platform +
                   ", actual: " + image.os + "/" + image.architecture);
}

void set_hostname(api::ContainerConfig& config, const api::HostConfig& host, const ContainerId& id) {
  if (!config.hostname.value_or("").empty()) return;
  const bool of_host = host.network_mode.value_or("") == "host" || host.uts_mode.value_or("") == "host";
  std::array<char, 256> name{};
  if (of_host && ::gethostname(name.data(), name.size() - 1) == 0) {
    config.hostname = std::string(name.data());
  } else {
    config.hostname = short_id(id);
  }
}

// What inspect shows although nobody gave it.
void fill_config(api::ContainerConfig& config) {
  for (auto* flag : {&config.attach_stdin, &config.attach_stdout, &config.attach_stderr, &config.tty,
                     &config.open_stdin, &config.stdin_once}) {
    if (!*flag) *flag = false;
  }
  for (auto* text : {&config.domainname, &config.user, &config.working_dir}) {
    if (!*text) *text = std::string();
  }
  if (!config.labels) config.labels.emplace();
  if (!config.env) config.env.emplace();
}

}  // namespace

struct ContainerManager::Impl::CreatePlan {
  ContainerRow row;
  api::ContainerConfig config;
  api::HostConfig host;
  ImageForContainer image;
  std::string session;  ///< "": none
  EndpointRequests endpoints;
  std::vector<container::MountRow> mounts;
};

Result<ContainerManager::Impl::CreatePlan> ContainerManager::Impl::plan_create(
    const api::ContainerCreateConfig& request, const std::string& platform, const Call& call) {
  CreatePlan plan;
  plan.config = container::config_of(request);
  plan.host = request.host_config.value_or(api::HostConfig{});
  plan.endpoints = container::endpoints_of(request);
  const std::string runtime = plan.host.runtime.value_or("");
  if (context.find_runtime(runtime) == nullptr) {
    return invalid_argument("unknown or invalid runtime name: " + runtime);
  }
  POUCH_ASSIGN_OR_RETURN(const spec::MountPlan mounts, spec::plan_mounts(plan.host));
  POUCH_RETURN_IF_ERROR(container::prepare_bind_sources(mounts, false));
  const std::string reference = plan.config.image.value_or("");
  if (reference.empty()) return invalid_argument("Image: no image is given");
  auto image = images.resolve(reference, call);
  if (!image.is_ok()) return with_image_hint(image.status());
  plan.image = std::move(*image);
  POUCH_RETURN_IF_ERROR(check_platform(platform, reference, plan.image));
  POUCH_RETURN_IF_ERROR(container::merge_image_config(plan.config, plan.image.config));
  POUCH_RETURN_IF_ERROR(container::validate_merged(plan.config));
  POUCH_RETURN_IF_ERROR(spec::validate(plan.config, plan.host));
  POUCH_ASSIGN_OR_RETURN(plan.mounts, plan_mount_rows(plan.config, plan.host, call));

  ContainerRow& row = plan.row;
  row.id = ContainerId(new_object_id());
  POUCH_RETURN_IF_ERROR(container::check_processors(plan.host));
  container::fill_host_config(plan.host, context.options.default_runtime, facts().cgroup_v2);
  set_hostname(plan.config, plan.host, row.id);
  fill_config(plan.config);
  row.state = state::kCreating;
  row.owner = context.owner_token;
  row.boot_id = context.boot_id;
  row.config_json = api::to_json_text(plan.config);
  row.host_config_json = api::to_json_text(plan.host);
  row.image_ref = reference;
  row.image_id = plan.image.id;
  row.snapshotter = context.options.snapshotter;
  row.snapshot_key = row.id.str();
  row.runtime = *plan.host.runtime;
  POUCH_ASSIGN_OR_RETURN(const container::LogOptions log, container::parse_log_options(plan.host));
  if (log.driver == "json-file") row.log_path = container::container_paths(context.root_dir(), row.id).log;
  row.auto_remove = plan.host.auto_remove.value_or(false);
  row.created = Timestamp::now();
  return plan;
}

// The row in state creating is the intent: whoever finds it without a living owner undoes it.
Status ContainerManager::Impl::insert_named(CreatePlan& plan, const std::string& name) {
  for (int attempt = 0;; ++attempt) {
    plan.row.name = name.empty() ? container::random_name(attempt) : name;
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, own_call(10'000)));
    POUCH_ASSIGN_OR_RETURN(const auto holder, container::id_of_name(transaction, plan.row.name));
    if (!holder) {
      POUCH_RETURN_IF_ERROR(container::insert_container(transaction, plan.row));
      POUCH_RETURN_IF_ERROR(
          store::claim_for_session(transaction, plan.session, store::kind::kContainer, plan.row.id.str()));
      POUCH_RETURN_IF_ERROR(
          networks.add_endpoints(transaction, {plan.row.id, plan.row.name, plan.config.hostname.value_or("")},
                                 plan.host, plan.endpoints));
      POUCH_RETURN_IF_ERROR(insert_mount_rows(transaction, plan.row.id, plan.mounts));
      return transaction.commit();
    }
    if (!name.empty()) {
      return conflict("Conflict. The container name \"/" + name + "\" is already in use by container \"" +
                      holder->str() +
                      "\". You have to remove (or rename) that container to be able to reuse that name.");
    }
    if (attempt >= kNameAttempts) return conflict("no free name was found: give one");
  }
}

// Volumes with names are made before: others may remove one until the container's row says that it is used.
Status ContainerManager::Impl::insert_with_volumes(CreatePlan& plan, const std::string& name) {
  constexpr int kRounds = 10;
  Status inserted;
  for (int round = 0; round < kRounds; ++round) {
    POUCH_RETURN_IF_ERROR(ensure_volumes(plan.mounts, plan.session));
    inserted = insert_named(plan, name);
    if (inserted.code() != Code::kUnavailable) break;
  }
  return inserted;
}

// The snapshot first, whatever its making answered: the row is what tells of it.
void ContainerManager::Impl::undo_create(const ContainerRow& row) {
  const Call call = own_call(kPrepareMs);
  const auto undo = [&]() -> Status {
    if (const auto client = containerd(call); client.is_ok()) {
      const Status removed = (*client)->snapshots().remove(call, row.snapshotter, row.snapshot_key);
      if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
    }
    POUCH_RETURN_IF_ERROR(remove_views(row, call));
    return forget_creating(row.id);
  };
  if (const Status undone = insist(undo); !undone.is_ok()) {
    log_warning("container", "undo a create: " + undone.message(), row.id.str());
    recover_later({row.id, row.generation, std::string(state::kCreating)});
  }
}

Status ContainerManager::Impl::finish_create(const CreatePlan& plan) {
  const ContainerRow& row = plan.row;
  const Call call = own_call(kPrepareMs);
  ScopeGuard undo([&] { undo_create(row); });
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  const ctrd::Labels labels{{"containerd.io/gc.root", Timestamp::now().to_rfc3339()},
                            {container::kSnapshotLabel, row.id.str()}};
  const auto rootfs =
      client->snapshots().prepare(call, row.snapshotter, row.snapshot_key, plan.image.chain_id.str(), labels);
  if (!rootfs.is_ok()) {
    return rootfs.status().prefix("create container " + quote(row.name) + ": prepare its root filesystem");
  }
  POUCH_RETURN_IF_ERROR(make_mounts(row, plan.mounts));
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context.db->begin(row.durability(), call));
  POUCH_ASSIGN_OR_RETURN(const int64_t changed,
                         transaction.run("UPDATE containers SET state = 'created', owner_token = NULL "
                                         "WHERE id = ?1 AND state = 'creating' AND owner_token = ?2",
                                         row.id, row.owner));
  if (changed != 1) return internal_error("create container " + quote(row.name) + ": its row is gone");
  POUCH_RETURN_IF_ERROR(settle_mounts(transaction, row, plan.mounts));
  POUCH_RETURN_IF_ERROR(append_event(transaction, row, plan.config, "create"));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  undo.dismiss();
  return {};
}

// The spec is built for good at the start; here only where it may have something to say.
Result<std::vector<std::string>> ContainerManager::Impl::spec_warnings(const CreatePlan& plan) {
  const api::HostConfig& host = plan.host;
  if (!host.ulimits && !host.cap_add && !host.devices && !host.privileged.value_or(false) &&
      host.oom_score_adj.value_or(0) == 0) {
    return std::vector<std::string>();
  }
  spec::SpecInput input = spec_input(plan.row.id, plan.config, host);
  POUCH_ASSIGN_OR_RETURN(input.mounts, spec::plan_mounts(host));
  POUCH_ASSIGN_OR_RETURN(spec::SpecOutput output, spec::build_oci_spec(input, facts()));
  return std::move(output.warnings);
}

Result<api::ContainerCreateResult> ContainerManager::Impl::create(const api::ContainerCreateConfig& request,
                                                                  const api::ContainerCreateOptions& options,
                                                                  const Call& call) {
  const std::string name(container::strip_slash(options.name.value_or("")));
  if (options.name && !options.name->empty()) POUCH_RETURN_IF_ERROR(container::check_name(name));
  POUCH_RETURN_IF_ERROR(container::validate_request(request));
  using Answer = Result<api::ContainerCreateResult>;
  return detached<Answer>(
      call,
      [this, request, name, platform = options.platform.value_or(""), session = call.session]() -> Answer {
        POUCH_ASSIGN_OR_RETURN(CreatePlan plan, plan_create(request, platform, own_call(kPrepareMs)));
        plan.session = session;
        POUCH_ASSIGN_OR_RETURN(std::vector<std::string> warnings, spec_warnings(plan));
        for (std::string& warning : networks.warnings(plan.host)) warnings.push_back(std::move(warning));
        POUCH_RETURN_IF_ERROR(insert_with_volumes(plan, name));
        POUCH_RETURN_IF_ERROR(finish_create(plan));
        api::ContainerCreateResult result;
        result.id = plan.row.id.str();
        result.warnings = std::move(warnings);
        return result;
      });
}

}  // namespace pouch
