#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/api/network.gen.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/network/records.h"
#include "core/store/database.h"

// The rows of endpoints: containers' places in networks. Every function works in the session given and makes
// no transaction.

namespace pouch::network {

/// What is asked for of an endpoint by which a container gets out when no other leads there: all others go
/// before.
inline constexpr const char* kLastResort = R"({"GwPriority":-9223372036854775807})";

struct EndpointRow {
  std::string network_id;
  ContainerId container_id;
  std::string settings_json;  ///< as asked for
  // Of its run; empty while there is none.
  std::string endpoint_id;
  int64_t generation = 0;
  std::string boot_id;
  std::string mac;
  std::string address;      ///< IPv4
  std::string address6;     ///< IPv6
  std::string link;         ///< its name in the container
  std::string plugin_json;  ///< PluginFacts, of a driver that is a plugin
  /// "", "joining", "leaving"; "left": it was disconnected from the network of its NetworkMode.
  std::string state;

  bool is_running() const { return !endpoint_id.empty(); }
  bool is_last_resort() const { return settings_json == kLastResort; }
  Result<api::EndpointSettings> settings() const;
};

/// A running endpoint with its container's name, for who looks at a network.
struct Member {
  EndpointRow endpoint;
  std::string container_name;
};

/// With the names under which others know it: its own first.
Status insert_endpoint(store::Session& session, const EndpointRow& row,
                       const std::vector<std::string>& names);
Status delete_endpoint(store::Session& session, const std::string& network_id, const ContainerId& container);
Result<std::optional<EndpointRow>> find_endpoint(store::Session& session, const std::string& network_id,
                                                 const ContainerId& container);
/// A container's, by the networks' names; those that it has left are not among them.
Result<std::vector<EndpointRow>> endpoints_of(store::Session& session, const ContainerId& container);
Result<std::vector<std::string>> names_of(store::Session& session, const std::string& network_id,
                                          const ContainerId& container);
Status set_running(store::Session& session, const EndpointRow& row);
Status set_endpoint_state(store::Session& session, const EndpointRow& row, const std::string& state);
/// The endpoints of a run are given back, those of last resort go; the networks that they were in.
Result<std::vector<std::string>> set_ended(store::Session& session, const ContainerId& container,
                                           int64_t generation);
/// Of either family.
Result<bool> is_address_taken(store::Session& session, const std::string& network_id,
                              const std::string& address);
Result<std::vector<Member>> running_members(store::Session& session, const std::string& network_id,
                                            const std::string& boot);
/// Whether any container, running or not, is in it.
Result<bool> is_in_use(store::Session& session, const std::string& network_id);
/// Addresses of an earlier boot are nobody's.
Status drop_old_addresses(store::Session& session, const std::string& network_id, const std::string& boot);

/// Of the intent while it joins or leaves.
std::string endpoint_key(const EndpointRow& row);

}  // namespace pouch::network
