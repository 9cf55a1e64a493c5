#pragma once

#include <cstdint>
#include <string>

#include "core/api/container.gen.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/store/database.h"

namespace pouch {

/// A container as networks see it.
struct ContainerPlace {
  ContainerId id;
  std::string name;
  std::string state;  ///< as in its row: creating created starting running exiting exited removing dead
  std::string boot_id;
  int64_t generation = 0;
  int64_t pid = 0;
  std::string hostname;
  api::HostConfig host;
};

/// How the network manager sees containers. Thread-safe. find() works in the session and makes no
/// transaction.
class NetworkContainers {
 public:
  virtual ~NetworkContainers() = default;
  /// By id, name or unique prefix of the id. NotFound "No such container: x".
  virtual Result<ContainerPlace> find(store::Session& session, const std::string& reference) = 0;
  /// Writes a running container's /etc/hosts anew, for other links than it had.
  virtual Status write_hosts(const ContainerId& id, const NetworkPlan& plan) = 0;
};

}  // namespace pouch
