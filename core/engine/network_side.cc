#include "core/engine/network_side.h"

#include "core/container/container_files.h"
#include "core/container/name_server.h"
#include "core/container/records.h"
#include "core/spec/ports.h"

namespace pouch {

namespace {

constexpr int64_t kServeMs = 30'000;

}  // namespace

Result<ContainerPlace> NetworkSide::find(store::Session& session, const std::string& reference) {
  POUCH_ASSIGN_OR_RETURN(const container::ContainerRow row, container::find_container(session, reference));
  POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, row.config());
  ContainerPlace place;
  POUCH_ASSIGN_OR_RETURN(api::HostConfig host, row.host_config());
  place.host = spec::with_all_published(config, std::move(host));
  place.id = row.id;
  place.name = row.name;
  place.state = row.state;
  place.boot_id = row.boot_id;
  place.generation = row.generation;
  place.pid = row.pid;
  place.hostname = config.hostname.value_or("");
  return place;
}

Status NetworkSide::write_hosts(const ContainerId& id, const NetworkPlan& plan) {
  container::ContainerRow row;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(row, container::find_container(snapshot, id.str()));
  }
  POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, row.config());
  POUCH_ASSIGN_OR_RETURN(const api::HostConfig host, row.host_config());
  const auto paths = container::container_paths(context_.root_dir(), id);
  POUCH_RETURN_IF_ERROR(container::write_hosts_file(paths, config, host, plan));
  return plan.has_names ? serve_names(paths, host, plan) : Status();
}

// Of one that is in the first network of a user while it runs; what else it wrote into the file is left
// alone.
Status NetworkSide::serve_names(const container::ContainerPaths& paths, const api::HostConfig& host,
                                const NetworkPlan& plan) {
  const Call call{Deadline::after_ms(kServeMs), nullptr, {}};
  POUCH_ASSIGN_OR_RETURN(const bool is_served, container::serve_names(context_, plan, call));
  if (!is_served || container::asks_own_server(paths)) return {};
  return container::write_resolv_conf(paths, host, plan);
}

}  // namespace pouch
