#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/store/database.h"
#include "core/sys/port_rules.h"

// The rows of published ports. Every function works in the session given and makes no transaction.

namespace pouch::network {

/// A port with the run that has, or had, it.
struct PortRow {
  ContainerId container_id;
  int64_t generation = 0;
  std::string boot_id;
  PublishedPort port;
};

enum class PortUse {
  kFree,
  kEnded,  ///< its run has ended, what it was outside is still to be removed
  kTaken,
};

/// Of a port at an address of the host; all addresses of a family are in each other's way.
Result<PortUse> use_of_port(store::Session& session, const std::string& boot, const PublishedPort& port);
Status insert_port(store::Session& session, const PortRow& row);
/// Where it leads to is another address of its run now.
Status set_target(store::Session& session, const PublishedPort& port);
/// If it is this run's still.
Status delete_port(store::Session& session, const PortRow& row);
Status delete_ports(store::Session& session, const ContainerId& container, int64_t generation);
Result<std::vector<PublishedPort>> ports_of(store::Session& session, const ContainerId& container,
                                            int64_t generation);
/// Of runs that have ended: no container is starting, running or exiting in that generation and boot.
Result<std::vector<PortRow>> ended_ports(store::Session& session, const std::string& boot);
/// Whether one of those led to the address.
Result<bool> has_ended_at(store::Session& session, const std::string& boot, const std::string& address);
/// Of all others; `running`: of containers that have been started.
Result<std::vector<PortRow>> live_ports(store::Session& session, const std::string& boot, bool running);

/// Of those that the firewall knows: from one family to the other the keeper relays, and plugins lead theirs.
Result<std::vector<sys::PortRule>> port_rules_of(const std::vector<PublishedPort>& ports);

}  // namespace pouch::network
