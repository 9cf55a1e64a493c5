#include "core/system/system_manager.h"

#include <iterator>
#include <utility>

#include "core/api/check.h"
#include "core/api/usage_kinds.h"
#include "core/events/event_log.h"
#include "core/sys/host_facts.h"
#include "core/system/check.h"
#include "core/system/components.h"
#include "core/system/diagnose.h"
#include "core/system/host_info.h"

namespace pouch {
namespace {

// The range of Moby's API that the engine speaks; the bridge shapes answers for the older ones.
constexpr const char* kApiVersion = "1.50";
constexpr const char* kMinApiVersion = "1.24";
constexpr const char* kOs = "linux";

api::ComponentVersion component_version(const char* name, const Component& component) {
  api::ComponentVersion out;
  out.name = name;
  out.version = component.version;
  out.details = std::map<std::string, std::string>{{"GitCommit", component.commit}};
  return out;
}

api::ComponentVersion engine_version(const api::VersionInfo& info) {
  api::ComponentVersion out;
  out.name = "Engine";
  out.version = info.version;
  out.details = std::map<std::string, std::string>{{"ApiVersion", info.api_version},
                                                   {"MinAPIVersion", kMinApiVersion},
                                                   {"Os", info.os},
                                                   {"Arch", info.arch},
                                                   {"KernelVersion", *info.kernel_version},
                                                   {"GitCommit", info.git_commit},
                                                   {"GoVersion", info.go_version},
                                                   {"Experimental", "false"}};
  return out;
}

api::PouchInfo pouch_info(const EngineContext& context, const std::optional<Component>& containerd) {
  api::PouchInfo out;
  out.root_id = context.root_id;
  out.root = context.root_dir();
  out.run_root = context.run_dir();
  out.containerd = context.options.containerd_address;
  out.containerd_private = context.has_private_containerd;
  out.containerd_namespace = context.ns;
  out.library_version = POUCH_VERSION;
  if (containerd) out.containerd_version = containerd->version;
  if (const auto keeper = running_keeper(context)) {
    out.keeper_version = keeper->version;
    out.keeper_pid = keeper->pid;
  }
  return out;
}

void fill_objects(const ObjectCounts& counts, api::SystemInfo& out) {
  out.containers = counts.containers;
  out.containers_running = counts.running;
  out.containers_paused = counts.paused;
  out.containers_stopped = counts.stopped;
  out.images = counts.images;
}

void fill_parts(const EngineContext& context, const std::optional<Component>& containerd,
                api::SystemInfo& out) {
  out.driver = context.options.snapshotter;
  out.driver_status = std::vector<std::vector<std::string>>{{"driver-type", "io.containerd.snapshotter.v1"}};
  out.docker_root_dir = context.root_dir();
  out.plugins.volume = std::vector<std::string>{"local"};
  out.plugins.network = std::vector<std::string>{"bridge", "cni", "host", "ipvlan", "macvlan", "null"};
  out.plugins.log = std::vector<std::string>{"json-file", "none"};
  out.logging_driver = "json-file";
  out.default_runtime = context.options.default_runtime;
  std::map<std::string, api::RuntimeInfo> runtimes;
  for (const auto& [name, runtime] : context.options.runtimes) {
    runtimes[name].path = runtime.binary_name;
    runtimes[name].runtime_type = runtime.shim;
  }
  out.runtimes = std::move(runtimes);
  if (containerd)
    out.containerd_commit.id = containerd->commit.empty() ? containerd->version : containerd->commit;
  if (const auto runtime = runtime_component(*context.find_runtime(""))) {
    out.runc_commit.id = runtime->commit.empty() ? runtime->version : runtime->commit;
  }
  api::ContainerdInfo address;
  address.address = context.options.containerd_address;
  address.namespaces = api::ContainerdNamespaces{context.ns, context.ns};
  out.containerd = std::move(address);
}

// What the engine has not, in the form in which Moby's clients expect it.
void fill_constants(api::SystemInfo& out) {
  out.os_type = kOs;
  out.server_version = POUCH_VERSION;
  out.index_server_address = "https://index.docker.io/v1/";
  out.labels = std::vector<std::string>{};
  out.generic_resources = {};
  out.swarm.local_node_state = "inactive";
  out.live_restore_enabled = true;  // nothing that runs depends on who started it
}

}  // namespace

Result<api::PingInfo> SystemManager::ping(const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  api::PingInfo out;
  out.api_version = kApiVersion;
  out.os_type = kOs;
  out.builder_version = "1";  // there is no BuildKit behind it
  out.swarm_status = "inactive";
  return out;
}

Result<api::VersionInfo> SystemManager::version(const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const sys::HostFacts host = sys::read_host_facts();
  api::VersionInfo out;
  out.platform = api::VersionPlatform{"Pouch"};
  out.version = POUCH_VERSION;
  out.api_version = kApiVersion;
  out.min_api_version = kMinApiVersion;
  out.os = kOs;
  out.arch = sys::oci_architecture(host.architecture);
  out.kernel_version = host.kernel;
  out.experimental = false;
  std::vector<api::ComponentVersion> components{engine_version(out)};
  if (const auto found = containerd_component(context_, call)) {
    components.push_back(component_version("containerd", *found));
  }
  if (const auto found = runtime_component(*context_.find_runtime(""))) {
    components.push_back(component_version(context_.options.default_runtime.c_str(), *found));
  }
  out.components = std::move(components);
  return out;
}

Result<api::SystemInfo> SystemManager::info(const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  api::SystemInfo out;
  POUCH_ASSIGN_OR_RETURN(const ObjectCounts counts, sources_.count());
  const std::optional<Component> containerd = containerd_component(context_, call);
  out.id = context_.root_id;
  out.system_time = Timestamp::now();
  out.n_events_listener = context_.events->subscribers();
  fill_objects(counts, out);
  fill_constants(out);
  fill_parts(context_, containerd, out);
  std::vector<std::string> warnings = fill_host(out);
  if (!containerd) {
    warnings.push_back("WARNING: containerd does not answer at " + context_.options.containerd_address);
  }
  if (const Status told = sources_.describe_registries(out); !told.is_ok()) {
    warnings.push_back("WARNING: " + told.message());
  }
  out.warnings = std::move(warnings);
  out.pouch = pouch_info(context_, containerd);
  return out;
}

Result<api::CheckReport> SystemManager::check(const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  EngineOptions options = context_.options;
  if (context_.has_private_containerd) options.containerd_address = kPrivateContainerd;
  std::vector<Finding> found = check_host(options, call);
  POUCH_ASSIGN_OR_RETURN(auto of_networks, sources_.look_at_networks(call));
  std::move(of_networks.begin(), of_networks.end(), std::back_inserter(found));
  return api::make_report(found);
}

Result<api::Diagnosis> SystemManager::diagnose(const Call& call) {
  api::Diagnosis out;
  POUCH_ASSIGN_OR_RETURN(out.version, version(call));
  POUCH_ASSIGN_OR_RETURN(const ObjectCounts counts, sources_.count());
  POUCH_ASSIGN_OR_RETURN(out.check, check(call));
  out.pouch = pouch_info(context_, containerd_component(context_, call));
  out.counts = {{"Containers", counts.containers},
                {"Running", counts.running},
                {"Paused", counts.paused},
                {"Stopped", counts.stopped},
                {"Images", counts.images}};
  POUCH_RETURN_IF_ERROR(pouch::diagnose(context_, call, out));
  return out;
}

Result<api::DiskUsage> SystemManager::df(const api::SystemDfOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const api::UsageKinds kinds, api::parse_usage_kinds(options.type));
  api::DiskUsage out;
  if (kinds.images) {
    POUCH_ASSIGN_OR_RETURN(out.images, sources_.measure_images(call, out.layers_size));
  }
  if (kinds.containers) {
    POUCH_ASSIGN_OR_RETURN(out.containers, sources_.measure_containers(call));
  }
  if (kinds.volumes) {
    POUCH_ASSIGN_OR_RETURN(out.volumes, sources_.measure_volumes(call));
  }
  // There are no builds yet.
  if (kinds.build_cache) out.build_cache = std::vector<api::BuildCacheRecord>();
  return out;
}

Result<StreamPtr> SystemManager::events(const api::SystemEventsOptions& options, const Call& call) {
  return context_.events->subscribe(options, call);
}

}  // namespace pouch
