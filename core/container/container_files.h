#pragma once

#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/spec/mounts.h"

namespace pouch::container {

/// Where a container's own files lie: <root>/containers/<id>/.
struct ContainerPaths {
  std::string dir;
  std::string hostname;
  std::string hosts;
  std::string resolv_conf;
  std::string log;  ///< "" with log driver none
};
ContainerPaths container_paths(const std::string& root_dir, const ContainerId& id);

/// /etc/hosts, /etc/resolv.conf as Docker gives them for the networks none and host. Pure.
/// On a network of its own the container's address stands there under its name.
std::string hosts_text(const api::ContainerConfig& config, const api::HostConfig& host,
                       const NetworkPlan& network, const std::string& host_file);
/// Nameservers on loopback are of no use in a network namespace of its own and left out there; on the bridge
/// likewise those of IPv6, and where none is left Docker's public ones stand in.
std::string resolv_conf_text(const api::HostConfig& host, const NetworkPlan& network,
                             const std::string& host_file);

/// Writes the files anew (before every start; they need not survive a crash of the host).
Status write_container_files(const ContainerPaths& paths, const api::ContainerConfig& config,
                             const api::HostConfig& host, const NetworkPlan& network);
/// /etc/resolv.conf alone, when another name server is to be asked than was thought.
Status write_resolv_conf(const ContainerPaths& paths, const api::HostConfig& host,
                         const NetworkPlan& network);
/// Whether the container asks a name server of ours already.
bool asks_own_server(const ContainerPaths& paths);
/// /etc/hosts alone, while the container runs.
Status write_hosts_file(const ContainerPaths& paths, const api::ContainerConfig& config,
                        const api::HostConfig& host, const NetworkPlan& network);
/// The bind mounts that show them in the container, where the user mounts nothing else there.
std::vector<spec::BindMount> file_mounts(const ContainerPaths& paths, const spec::MountPlan& plan,
                                         bool read_only_root);

/// Makes missing sources of `-v` mounts (empty folders, as Docker does). InvalidArgument where another
/// source is missing.
Status prepare_bind_sources(const spec::MountPlan& plan, bool create);

/// InvalidArgument where a mount is to be shared or a slave and its source's own mount is not so.
Status check_propagations(const spec::MountPlan& plan);

}  // namespace pouch::container
