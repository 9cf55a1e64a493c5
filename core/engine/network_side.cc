#include "core/engine/network_side.h"

#include "core/container/container_files.h"
#include "core/container/records.h"

namespace pouch {

Result<ContainerPlace> NetworkSide::find(store::Session& session, const std::string& reference) {
  POUCH_ASSIGN_OR_RETURN(const container::ContainerRow row, container::find_container(session, reference));
  POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, row.config());
  ContainerPlace place;
  POUCH_ASSIGN_OR_RETURN(place.host, row.host_config());
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
  return container::write_hosts_file(container::container_paths(context_.root_dir(), id), config, host, plan);
}

}  // namespace pouch
