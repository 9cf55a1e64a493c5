#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/network/records.h"

// Networks in which plugins have a part: their driver is one, or who hands out their addresses.

namespace pouch::network {

/// The driver behind lists of CNI plugins.
inline constexpr const char* kCni = "cni";

/// Whether others than the engine make the links: CNI plugins, or one that speaks libnetwork's protocol.
bool is_plugin_driver(const std::string& driver);
inline bool has_plugin(const NetworkRow& row) {
  return is_plugin_driver(row.driver) || !row.ipam_driver.empty();
}
/// Whether the engine's own rows say which address comes next.
inline bool has_own_addresses(const NetworkRow& row) {
  return row.ipam_driver.empty() && row.driver != kCni;
}

/// Of "10.1.0.5/16": 10.1.0.5.
inline std::string without_prefix(const std::string& address) {
  return address.substr(0, address.find('/'));
}

struct StaticRoute {
  std::string destination;  ///< "10.1.0.0/16"
  std::string next_hop;     ///< "": on the link
};

/// What a plugin that is the driver said of an endpoint of a run.
struct PluginFacts {
  std::string address;   ///< with prefix; "": none
  std::string address6;  ///< the same for IPv6
  std::string gateway;   ///< "": no way out
  std::string gateway6;
  bool wants_way_out = false;             ///< the engine leads out, where no other network does
  std::vector<StaticRoute> routes;        ///< that the engine has to make
  std::vector<std::string> name_servers;  ///< that know more than the host's
  std::vector<std::string> search;        ///< domains in which names are looked for

  std::string to_json() const;
  /// Of EndpointRow::plugin_json; "" says nothing.
  static Result<PluginFacts> parse(const std::string& json);
};

}  // namespace pouch::network
