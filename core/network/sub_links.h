#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/network/records.h"
#include "core/sys/links.h"

// The drivers macvlan and ipvlan: containers' links share the hardware of a link of the host, their parent.

namespace pouch::network {

inline constexpr const char* kMacvlan = "macvlan";
inline constexpr const char* kIpvlan = "ipvlan";

inline bool has_sub_links(const std::string& driver) {
  return driver == kMacvlan || driver == kIpvlan;
}

/// What their driver options say, by Docker's names.
struct SubLinkOptions {
  std::string parent;  ///< "": a link of the network's own that leads nowhere
  std::string mode;    ///< macvlan: bridge, private, vepa, passthru; ipvlan: l2, l3, l3s
  std::string flag;    ///< ipvlan: bridge, private, vepa
};

/// InvalidArgument for a bad value.
Result<SubLinkOptions> sub_link_options(const std::string& driver, const Texts& options);

/// Fills in the device of a new network, which the engine makes and takes away: its own dummy link, or the
/// sub-interface "eth0.50" of a VLAN; "" when the parent is there. NotFound, InvalidArgument: a parent that
/// cannot be one.
Status choose_device(NetworkRow& row, const std::string& root_id, sys::Links& links);

/// PermissionDenied when the parent's only link is, or would have to be, another network's (passthru), or it
/// is the other driver's.
Status check_parent(const NetworkRow& row, const std::vector<NetworkRow>& others);

/// The parent may be one that the engine has made for another network.
void share_device(NetworkRow& row, const std::vector<NetworkRow>& others);

/// Makes the device if it has one, with that text for people, and proves that the kernel and the parent can
/// have such links. NotImplemented: this kernel has none.
Status make_device(const NetworkRow& row, const std::string& alias, sys::Links& links);

/// Whether nothing leads out of the network: nobody's gateway is in it.
bool is_dead_end(const NetworkRow& row);
/// Whether its packets find their way by addresses alone, with no gateway (ipvlan's l3, l3s).
bool is_routed(const NetworkRow& row);

/// The leg's link, made in the namespace.
Status add_sub_link(const NetworkLeg& leg, sys::Links& host, int netns);

}  // namespace pouch::network
