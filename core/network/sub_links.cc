#include "core/network/sub_links.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "core/base/number.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/sys/net_namespace.h"

namespace pouch::network {
namespace {

using sys::SubLinkKind;

constexpr size_t kRootDigits = 6;     // of the root's id in a link's name, which has 15 bytes
constexpr size_t kNetworkDigits = 7;  // of the network's
constexpr int kMaxVlan = 4094;

// Values of linux/if_link.h, by the names that users know.
using Values = std::array<std::pair<std::string_view, uint32_t>, 4>;
constexpr Values kMacvlanModes{{{"bridge", 4}, {"private", 1}, {"vepa", 2}, {"passthru", 8}}};
constexpr Values kIpvlanModes{{{"l2", 0}, {"l3", 1}, {"l3s", 2}}};
constexpr Values kIpvlanFlags{{{"bridge", 0}, {"private", 1}, {"vepa", 2}}};

const uint32_t* value_of(const Values& values, const std::string& name) {
  const auto at =
      std::find_if(values.begin(), values.end(), [&](const auto& value) { return value.first == name; });
  return at == values.end() || name.empty() ? nullptr : &at->second;
}

std::string option(const Texts& options, const std::string& name, const std::string& otherwise) {
  const auto at = options.find(name);
  return at == options.end() || at->second.empty() ? otherwise : at->second;
}

// Of "eth0.50": eth0 and 50.
std::pair<std::string, int> split_vlan(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {name, 0};
  const int id = whole_number<int>(std::string_view(name).substr(dot + 1)).value_or(0);
  return {name.substr(0, dot), id >= 1 && id <= kMaxVlan ? id : 0};
}

sys::SubLinkSpec spec_of(const std::string& driver, const std::string& mode, const std::string& flag) {
  sys::SubLinkSpec spec;
  const bool is_macvlan = driver == kMacvlan;
  spec.kind = is_macvlan ? SubLinkKind::kMacvlan : SubLinkKind::kIpvlan;
  if (const uint32_t* value = value_of(is_macvlan ? kMacvlanModes : kIpvlanModes, mode)) spec.mode = *value;
  if (const uint32_t* value = value_of(kIpvlanFlags, flag); value != nullptr && !is_macvlan) {
    spec.flags = static_cast<uint16_t>(*value);
  }
  return spec;
}

std::string parent_of(const NetworkRow& row, const SubLinkOptions& options) {
  return options.parent.empty() ? row.device : options.parent;
}

// The kernel says "Unknown device type".
Status told_kind(const Status& status, const std::string& driver) {
  if (status.code() != Code::kNotImplemented) return status;
  return not_implemented("Driver " + quote(driver) + ": this kernel has no " + driver + " links (" +
                         status.message() + ")");
}

// One in a namespace that ends with it.
Status probe(const NetworkRow& row, const SubLinkOptions& options, const sys::Link& parent,
             sys::Links& links) {
  sys::SubLinkSpec spec = spec_of(row.driver, options.mode, options.flag);
  spec.name = "probe";
  spec.parent = parent.index;
  POUCH_ASSIGN_OR_RETURN(const UniqueFd netns, sys::short_lived_net_namespace());
  spec.netns = netns.get();
  return told_kind(links.add_sub_link(spec), row.driver)
      .prefix("use " + quote(parent.name) + " as the parent of " + row.driver + " links");
}

Status add_device(const NetworkRow& row, const SubLinkOptions& options, sys::Links& links) {
  if (options.parent.empty()) {
    const Status made = links.add_dummy(row.device);
    if (made.code() != Code::kNotImplemented) return made;
    return not_implemented(
        "Options parent: none is given, and this kernel has no dummy links to use instead");
  }
  const auto [base, id] = split_vlan(options.parent);
  POUCH_ASSIGN_OR_RETURN(const sys::Link link, links.find(base));
  sys::SubLinkSpec spec;
  spec.kind = SubLinkKind::kVlan;
  spec.name = row.device;
  spec.parent = link.index;
  spec.mode = static_cast<uint32_t>(id);
  const Status made = links.add_sub_link(spec);
  if (made.code() != Code::kNotImplemented) return made;
  return not_implemented("Options parent: there is no link " + quote(row.device) +
                         ", and this kernel has no VLAN links to make it");
}

}  // namespace

Result<SubLinkOptions> sub_link_options(const std::string& driver, const Texts& options) {
  SubLinkOptions out;
  out.parent = option(options, "parent", "");
  if (driver == kMacvlan) {
    out.mode = option(options, "macvlan_mode", "bridge");
    if (value_of(kMacvlanModes, out.mode) != nullptr) return out;
    return invalid_argument("requested macvlan mode " + quote(out.mode) +
                            " is not valid, 'bridge' mode is the macvlan driver default");
  }
  out.mode = option(options, "ipvlan_mode", "l2");
  out.flag = option(options, "ipvlan_flag", "bridge");
  if (value_of(kIpvlanModes, out.mode) == nullptr) {
    return invalid_argument("requested ipvlan mode " + quote(out.mode) +
                            " is not valid, 'l2' mode is the ipvlan driver default");
  }
  if (value_of(kIpvlanFlags, out.flag) != nullptr) return out;
  return invalid_argument("requested ipvlan flag " + quote(out.flag) +
                          " is not valid, 'bridge' is the ipvlan driver default");
}

Status choose_device(NetworkRow& row, const std::string& root_id, sys::Links& links) {
  POUCH_ASSIGN_OR_RETURN(const SubLinkOptions options, sub_link_options(row.driver, row.options));
  row.device.clear();
  if (options.parent.empty()) {
    row.device = "pd" + root_id.substr(0, kRootDigits) + row.id.substr(0, kNetworkDigits);
    return {};
  }
  const auto found = links.find(options.parent);
  if (found.is_ok() && found->is_loopback) {
    return invalid_argument("loopback interface is not a valid " + row.driver + " parent link");
  }
  if (found.code() != Code::kNotFound) return found.status();
  const auto [base, id] = split_vlan(options.parent);
  if (id == 0) {
    return invalid_argument("invalid subinterface vlan name " + options.parent +
                            ", example formatting is eth0.10");
  }
  POUCH_RETURN_IF_ERROR(links.find(base).status().prefix("Options parent"));
  row.device = options.parent;
  return {};
}

Status check_parent(const NetworkRow& row, const std::vector<NetworkRow>& others) {
  const std::string parent = option(row.options, "parent", "");
  if (!has_sub_links(row.driver) || parent.empty()) return {};
  const auto is_passthru = [](const NetworkRow& network) {
    return network.driver == kMacvlan && option(network.options, "macvlan_mode", "") == "passthru";
  };
  for (const NetworkRow& other : others) {
    if (!has_sub_links(other.driver) || option(other.options, "parent", "") != parent) continue;
    const bool is_other_kind = other.driver != row.driver;
    if (!is_other_kind && !is_passthru(row) && !is_passthru(other)) continue;
    return {Code::kPermissionDenied, "network " + other.name + " is already using parent interface " +
                                         parent +
                                         (is_other_kind ? " for " + other.driver : " in mode passthru")};
  }
  return {};
}

void share_device(NetworkRow& row, const std::vector<NetworkRow>& others) {
  const std::string parent = option(row.options, "parent", "");
  if (!has_sub_links(row.driver) || parent.empty()) return;
  const bool is_made = std::any_of(others.begin(), others.end(), [&](const NetworkRow& other) {
    return has_sub_links(other.driver) && other.device == parent;
  });
  if (is_made) row.device = parent;
}

Status make_device(const NetworkRow& row, const std::string& alias, sys::Links& links) {
  POUCH_ASSIGN_OR_RETURN(const SubLinkOptions options, sub_link_options(row.driver, row.options));
  // A VLAN's link serves all networks that name it as their parent.
  const bool is_new = !row.device.empty() && links.find(row.device).code() == Code::kNotFound;
  if (is_new) POUCH_RETURN_IF_ERROR(add_device(row, options, links));
  ScopeGuard guard([&] {
    if (is_new) links.remove(row.device).ignore();
  });
  POUCH_ASSIGN_OR_RETURN(const sys::Link parent, links.find(parent_of(row, options)));
  if (is_new) {
    POUCH_RETURN_IF_ERROR(links.set_alias(parent.index, alias));
    POUCH_RETURN_IF_ERROR(links.set_up(parent.index));
  }
  POUCH_RETURN_IF_ERROR(probe(row, options, parent, links));
  guard.dismiss();
  return {};
}

bool is_dead_end(const NetworkRow& row) {
  return row.internal || (has_sub_links(row.driver) && option(row.options, "parent", "").empty());
}

bool is_routed(const NetworkRow& row) {
  return row.driver == kIpvlan && option(row.options, "ipvlan_mode", "l2") != "l2";
}

Status add_sub_link(const NetworkLeg& leg, sys::Links& host, int netns) {
  POUCH_ASSIGN_OR_RETURN(const sys::Link parent, host.find(leg.parent));
  sys::SubLinkSpec spec = spec_of(leg.driver, leg.mode, leg.flag);
  spec.name = leg.link;
  spec.parent = parent.index;
  spec.netns = netns;
  spec.mtu = leg.mtu;
  // ipvlan's links have their parent's.
  if (leg.driver == kMacvlan) {
    POUCH_ASSIGN_OR_RETURN(spec.mac, sys::parse_mac(leg.mac));
  }
  return told_kind(host.add_sub_link(spec), leg.driver);
}

}  // namespace pouch::network
