#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/api/json.h"
#include "core/base/status.h"

namespace pouch::cni {

/// A link that a plugin made or found.
struct Interface {
  std::string name;
  std::string mac;
  std::string sandbox;  ///< path of the network namespace that it is in; "": the host's
  int mtu = 0;          ///< 0: unsaid
};

struct Ip {
  std::string address;  ///< with its prefix: "10.1.0.5/16"
  std::string gateway;  ///< "": none
  int interface = -1;   ///< index into Outcome::interfaces; -1: unsaid
};

struct Route {
  std::string dst;  ///< "0.0.0.0/0"
  std::string gw;   ///< "": the gateway of the address
};

struct Dns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;
};

/// What a container's attachment to a network came to: the result of a list's last plugin.
struct Outcome {
  std::vector<Interface> interfaces;
  std::vector<Ip> ips;
  std::vector<Route> routes;
  Dns dns;
  Json document = json_object();  ///< as the plugin wrote it, in the version that its "cniVersion" names

  /// The addresses on links within the container. Plugins before 0.3.0 do not say where: all of theirs.
  std::vector<Ip> container_ips() const;
  /// The container's link of that name; null where no plugin told of one.
  const Interface* container_interface(std::string_view name) const;
};

/// From a result of any version from 0.1.0 to 1.1.0; `fallback_version` is that of one which does not say.
/// InvalidArgument for what is none.
Result<Outcome> parse_outcome(const Json& document, const std::string& fallback_version);

/// The same facts in the shape of another version, as far as that can tell them: before 0.3.0 there is one
/// address of each family, and no links. The document as it is where the versions have the same shape.
Json convert_outcome(const Outcome& outcome, const std::string& version);

}  // namespace pouch::cni
