#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/api/network.gen.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/database.h"

// The rows of networks, and the intents of what is outside the database. Every function works in the session
// given and makes no transaction.

namespace pouch::network {

using Texts = std::map<std::string, std::string>;

/// A subnet of a network.
struct PoolRow {
  std::string subnet;
  std::string gateway;
  std::string ip_range;  ///< "": all of it
  Texts aux;             ///< addresses of others, by their names
  std::string last_address;
  bool chosen = false;  ///< by the engine, not by the user
  std::string pool_id;  ///< the IPAM plugin's name for it

  bool is_v4() const { return subnet.find(':') == std::string::npos; }
};

struct NetworkRow {
  std::string id;
  std::string name;
  std::string driver;
  std::string ipam_driver;  ///< "": the engine's own, else a plugin's
  std::string device;       ///< the bridge; "" for drivers without one
  std::string up_boot;      ///< the boot in which it was brought up; "": it is down
  std::string state;        ///< "", kCreating, kRemoving
  Texts options;
  Texts labels;
  std::optional<Texts> ipam_options;
  bool internal = false;
  bool attachable = false;
  bool config_only = false;  ///< what others are made of: nobody is in it
  std::string config_from;   ///< the name of the network that it was made of; ""
  bool ipv4 = true;
  bool ipv6 = false;
  Timestamp created;
  /// The default bridge has none before it is first brought up.
  std::vector<PoolRow> pools;

  /// The first of the family; null when there is none.
  const PoolRow* pool(bool v4) const;
  PoolRow* pool(bool v4) { return const_cast<PoolRow*>(std::as_const(*this).pool(v4)); }
  /// That of an address; null when it is in none.
  const PoolRow* pool_of(const std::string& address) const;
};

namespace state {
inline constexpr const char* kCreating = "creating";
inline constexpr const char* kRemoving = "removing";
}  // namespace state

/// A namespace that was made, or was about to be: kind "sandbox".
struct SandboxIntent {
  std::string key;
  std::string path;
};

/// By name; whatever state it is in.
Result<std::optional<NetworkRow>> find_network(store::Session& session, const std::string& name);
Result<std::optional<NetworkRow>> load_network(store::Session& session, const std::string& id);
/// As users name one: full id, name, or unique prefix of an id. NotFound "network x not found", and
/// InvalidArgument for a prefix of several.
Result<NetworkRow> resolve_network(store::Session& session, const std::string& reference);
/// By name, those being made or removed left out unless `all`.
Result<std::vector<NetworkRow>> all_networks(store::Session& session, bool all = false);
Status insert_network(store::Session& session, const NetworkRow& row);
Status delete_network(store::Session& session, const std::string& id);
Status set_last_address(store::Session& session, const std::string& id, const PoolRow& pool);
/// Writes its pools anew.
Status set_pools(store::Session& session, const NetworkRow& row);
Status set_up_boot(store::Session& session, const std::string& id, const std::string& boot);
/// False when it was not in the state `from`.
Result<bool> set_state(store::Session& session, const std::string& id, const std::string& from,
                       const std::string& to);

/// Whether other networks were made of this one.
Result<bool> is_base(store::Session& session, const NetworkRow& row);

std::string sandbox_key(const ContainerId& container, int64_t generation);
Status put_intent(store::Session& session, const std::string& kind, const std::string& key,
                  const std::string& owner, const std::string& data_json);
Status drop_intent(store::Session& session, const std::string& kind, const std::string& key);
Result<bool> has_intent(store::Session& session, const std::string& kind, const std::string& key);
/// The keys of a kind with who has put each.
Result<Texts> intent_owners(store::Session& session, const std::string& kind);
/// Of runs that have ended: no container is starting, running or exiting in that generation and boot.
Result<std::vector<SandboxIntent>> ended_sandboxes(store::Session& session, const std::string& boot);

/// Whether a container runs that joined another one's network.
Result<bool> has_guests(store::Session& session);

inline constexpr const char* kSandboxKind = "sandbox";
inline constexpr const char* kBridgeKind = "bridge";      ///< key: the device
inline constexpr const char* kNetworkKind = "network";    ///< key: its id; it is being made or removed
inline constexpr const char* kEndpointKind = "endpoint";  ///< key: endpoint_key(); it is joining or leaving

}  // namespace pouch::network
