#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/database.h"

// The rows of networks and endpoints, and the intents of what they are outside. Every function works in the
// session given and makes no transaction.

namespace pouch::network {

struct NetworkRow {
  std::string id;
  std::string name;
  std::string driver;
  std::string device;   ///< the bridge
  std::string up_boot;  ///< the boot in which it was brought up; "": it is down
  // Its IPv4 pool; empty until it is first brought up.
  std::string subnet;
  std::string gateway;
  std::string last_address;
};

struct EndpointRow {
  std::string network_id;
  ContainerId container_id;
  std::string settings_json;  ///< as asked for
  std::string endpoint_id;    ///< of this run; "" while it does not run
  int64_t generation = 0;
  std::string boot_id;
  std::string mac;
  std::string address;  ///< "" while it does not run

  Result<api::EndpointSettings> settings() const;
};

/// A namespace that was made, or was about to be: kind "sandbox".
struct SandboxIntent {
  std::string key;
  std::string path;
};

Result<std::optional<NetworkRow>> find_network(store::Session& session, const std::string& name);
Status insert_network(store::Session& session, const NetworkRow& row);
Status set_pool(store::Session& session, const NetworkRow& row);
Status set_up_boot(store::Session& session, const std::string& id, const std::string& boot);

Status insert_endpoint(store::Session& session, const EndpointRow& row);
Result<std::optional<EndpointRow>> find_endpoint(store::Session& session, const std::string& network_id,
                                                 const ContainerId& container);
Status set_running(store::Session& session, const EndpointRow& row);
/// The endpoints of a run are given back; whether there was one.
Result<bool> set_ended(store::Session& session, const ContainerId& container, int64_t generation);
Result<bool> is_address_taken(store::Session& session, const std::string& network_id,
                              const std::string& address);
Result<bool> has_running_endpoints(store::Session& session, const std::string& network_id);
/// Addresses of an earlier boot are nobody's.
Status drop_old_addresses(store::Session& session, const std::string& network_id, const std::string& boot);

std::string sandbox_key(const ContainerId& container, int64_t generation);
Status put_intent(store::Session& session, const std::string& kind, const std::string& key,
                  const std::string& owner, const std::string& data_json);
Status drop_intent(store::Session& session, const std::string& kind, const std::string& key);
Result<bool> has_intent(store::Session& session, const std::string& kind, const std::string& key);
/// Of runs that have ended: no container is starting, running or exiting in that generation and boot.
Result<std::vector<SandboxIntent>> ended_sandboxes(store::Session& session, const std::string& boot);

inline constexpr const char* kSandboxKind = "sandbox";
inline constexpr const char* kBridgeKind = "bridge";

}  // namespace pouch::network
