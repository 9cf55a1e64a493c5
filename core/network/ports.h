#pragma once

#include <atomic>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/network/port_choice.h"
#include "core/network/port_rows.h"
#include "core/spec/ports.h"
#include "core/store/engine_context.h"

namespace pouch::network {

/// The published ports of a root's containers. What a run has is three things: rows, which keep other
/// containers of the root away; sockets in the keeper, which keep away everybody else on the host; elements
/// of the root's nftables table, which lead packets to the container. They are made in this order and removed
/// in the other one, and as long as there is a row its port is nobody else's. Thread-safe, over processes
/// too.
class Ports {
 public:
  explicit Ports(EngineContext& context) : context_(context) {}

  /// Takes the ports that HostConfig.PortBindings asks for, at the container's addresses `targets`, the first
  /// of each family. Rows and sockets; what is had then is the caller's until its run has ended. Conflict:
  /// somebody has one of them.
  Result<std::vector<PublishedPort>> claim(const ContainerId& id, int64_t generation,
                                           const api::HostConfig& host,
                                           const std::vector<PortTarget>& targets, const Call& call);
  /// The elements. NotFound when the table is not there, or was made by a build that knew no ports.
  Status publish(const std::vector<PublishedPort>& ports, const std::vector<std::string>& bridges);
  /// The way out of a running container, and with it its ports, is another network now: those without a
  /// target lead nowhere, the others are for publish(). What is published there in another way is claimed
  /// anew.
  Result<std::vector<PublishedPort>> move(const ContainerId& id, int64_t generation,
                                          const api::HostConfig& host, const std::vector<PortTarget>& targets,
                                          const Call& call);
  /// Removes all that ended runs have. `keeper_serves`: false in a keeper that is ending, whose sockets go
  /// with it.
  Status free_ended(const Call& call, bool keeper_serves);
  /// In a new keeper: takes the sockets of running containers again, unless it has inherited them.
  Status hold_running(const Call& call);

 private:
  struct Reservation {
    std::vector<PublishedPort> ports;
    std::vector<bool> is_fixed;  ///< whether it could be another one
    bool must_wait = false;      ///< an ended run's is to be removed first
  };
  struct Moves {
    std::vector<PublishedPort> now;     ///< all that are left
    std::vector<PublishedPort> before;  ///< those that lead elsewhere, as they were
  };
  using Avoided = std::set<std::pair<std::string, uint16_t>>;  // protocol and port

  Result<Reservation> reserve(const ContainerId& id, int64_t generation,
                              const std::vector<spec::PortRequest>& requests,
                              const std::vector<PortTarget>& targets, const Avoided& avoided,
                              const Call& call);
  Status place(store::Session& session, const PortRow& row, const spec::PortRequest& request,
               const std::vector<PortWay>& ways, const Avoided& avoided, Reservation& out);
  Result<Moves> write_moves(const ContainerId& id, int64_t generation, const std::vector<PortTarget>& targets,
                            const Call& call);
  Status withdraw(const std::vector<PublishedPort>& ports);
  Result<std::optional<size_t>> hold(const std::string& key, const std::vector<PublishedPort>& ports,
                                     Status& why, const Call& call);
  Status give_back(const ContainerId& id, int64_t generation, const Call& call);
  Status explain(const ContainerId& id, const Status& why);
  std::string table() const;

  EngineContext& context_;
};

bool publishes(const api::HostConfig& host);
/// Of published ports that lead nowhere; for create's answer.
std::vector<std::string> port_warnings(const api::HostConfig& host);

}  // namespace pouch::network
