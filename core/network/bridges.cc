#include "core/network/bridges.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/network/bridge_rules.h"
#include "core/network/endpoints.h"
#include "core/network/ipam.h"
#include "core/network/mode.h"
#include "core/network/options.h"
#include "core/network/plugged.h"
#include "core/network/port_rows.h"
#include "core/network/sub_links.h"
#include "core/network/subnets.h"
#include "core/sys/file.h"
#include "core/sys/net_namespace.h"

namespace pouch::network {
namespace {

constexpr int kSubnetAttempts = 20;
constexpr int64_t kLockMs = 30'000;
constexpr int kDefaultMtu = 1500;
constexpr size_t kRootDigits = 6;     // of the root's id in a link's name, which has 15 bytes
constexpr size_t kNetworkDigits = 7;  // of the network's

// Locally administered, unicast.
sys::MacAddress random_mac() {
  sys::MacAddress mac{};
  [[maybe_unused]] const ssize_t got = ::getrandom(mac.data(), mac.size(), 0);
  mac[0] = 0x02;
  mac[1] = 0x42;
  return mac;
}

// Packets of the default route's size go through whole.
int mtu_of_uplink(sys::Links& links) {
  const auto routes = links.routes();
  const auto all = links.list();
  if (!routes.is_ok() || !all.is_ok()) return kDefaultMtu;
  for (const sys::Route& route : *routes) {
    if (route.destination.prefix != 0 || !route.destination.address.is_v4() || !route.gateway.is_valid())
      continue;
    for (const sys::Link& link : *all) {
      if (link.index == route.link && link.mtu > 0) return link.mtu;
    }
  }
  return kDefaultMtu;
}

Status allow_forwarding(bool v4, bool v6) {
  constexpr const char* kWhat = "let the host forward packets";
  if (v4) POUCH_RETURN_IF_ERROR(sys::set_net_setting("ipv4/ip_forward", "1").prefix(kWhat));
  if (!v6) return {};
  const Status set = sys::set_net_setting("ipv6/conf/all/forwarding", "1");
  if (set.code() == Code::kNotFound) return not_implemented("EnableIPv6: this kernel has no IPv6");
  return set.prefix(kWhat);
}

bool is_default(const NetworkRow& row) {
  return row.name == kBridgeName;
}

// May its subnets be others than they were? Once a user network is there they are what its users know.
bool may_repick(const NetworkRow& row, const PoolRow& pool) {
  return is_default(row) || (row.state == state::kCreating && pool.chosen);
}

Result<std::vector<sys::IpNet>> used_on_host(sys::Links& links, int except) {
  POUCH_ASSIGN_OR_RETURN(const auto addresses, links.addresses());
  POUCH_ASSIGN_OR_RETURN(const auto routes, links.routes());
  return used_subnets(addresses, routes, except);
}

// Of those that the engine has chosen: who names a subnet knows best.
bool collides_with(const NetworkRow& row, const std::vector<sys::IpNet>& used) {
  return std::any_of(row.pools.begin(), row.pools.end(), [&](const PoolRow& pool) {
    const auto net = sys::IpNet::parse(pool.subnet);
    return pool.chosen && net.is_ok() && !choose_subnet({*net}, 0, used);
  });
}

NetworkRow predefined(const char* name, const char* driver) {
  NetworkRow row;
  row.id = new_object_id();
  row.name = name;
  row.driver = driver;
  row.created = Timestamp::now();
  return row;
}

std::string alias_of(const std::string& root_dir, const std::string& root_id, const NetworkRow& row) {
  return is_default(row) ? root_dir : "pouch " + root_id + " " + row.name + " " + root_dir;
}

}  // namespace

std::string bridge_name(const std::string& root_id) {
  return "pb-" + root_id;
}

std::string bridge_name(const std::string& root_id, const std::string& network_id) {
  return "pn" + root_id.substr(0, kRootDigits) + network_id.substr(0, kNetworkDigits);
}

std::string table_name(const std::string& root_id) {
  return "pouch_" + root_id;
}

bool is_of_root(const sys::Link& link, const std::string& root_id) {
  if (link.kind != "bridge" && link.kind != "dummy" && link.kind != "vlan") return false;
  // Without an alias: its maker was killed in between.
  return link.alias.empty() ? link.name.starts_with(bridge_name(root_id, ""))
                            : link.alias.starts_with("pouch " + root_id + " ");
}

Result<NetworkRow> Bridges::ensure_default(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(auto bridge, find_network(session, kBridgeName));
  if (!bridge) {
    bridge = predefined(kBridgeName, "bridge");
    bridge->device = bridge_name(context_.root_id);
    POUCH_RETURN_IF_ERROR(insert_network(session, *bridge));
  }
  for (const auto& [name, driver] : {std::pair("host", "host"), std::pair("none", "null")}) {
    POUCH_ASSIGN_OR_RETURN(const auto found, find_network(session, name));
    if (!found) POUCH_RETURN_IF_ERROR(insert_network(session, predefined(name, driver)));
  }
  return std::move(*bridge);
}

Result<NetworkRow> Bridges::read_row(const std::string& network_id) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(auto row, load_network(snapshot, network_id));
  if (!row || row->state == state::kRemoving) return not_found("network " + network_id + " not found");
  return std::move(*row);
}

Result<std::vector<NetworkRow>> Bridges::others_up(const NetworkRow& row) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(const auto rows, all_networks(snapshot, true));
  std::vector<NetworkRow> others;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(others), [&](const NetworkRow& other) {
    return other.id != row.id && other.driver == "bridge" && other.up_boot == context_.boot_id;
  });
  return others;
}

// The link of a VLAN that is the parent of several networks.
Result<bool> Bridges::is_device_shared(const NetworkRow& row) {
  if (!has_sub_links(row.driver) || row.device.empty()) return false;
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(const auto rows, all_networks(snapshot, true));
  return std::any_of(rows.begin(), rows.end(), [&](const NetworkRow& other) {
    return other.id != row.id && other.device == row.device && other.up_boot == context_.boot_id;
  });
}

Status Bridges::bring_up(const std::string& network_id, const Call& call) {
  const std::lock_guard guard(mutex_);
  POUCH_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::acquire(lock_path(), Deadline::after_ms(kLockMs)));
  POUCH_ASSIGN_OR_RETURN(NetworkRow row, read_row(network_id));
  if (row.up_boot == context_.boot_id) return {};  // another was first
  if (row.driver == "host" || row.driver == "null") return {};
  return make(call, row).prefix("bring up the network " + quote(row.name));
}

// What a crash left goes; what is somebody else's stays.
Status Bridges::clear_place(const NetworkRow& row, sys::Links& links) {
  if (row.device.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const bool shared, is_device_shared(row));
  if (shared) return {};
  const auto found = links.find(row.device);
  if (found.code() == Code::kNotFound) return {};
  if (!found.is_ok()) return found.status();
  bool ours = is_default(row) || is_of_root(*found, context_.root_id);
  if (!ours) {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(ours, has_intent(snapshot, kBridgeKind, row.device));
  }
  if (!ours) {
    return {Code::kAlreadyExists,
            "the host has a link " + quote(row.device) + ", and it is not this engine's"};
  }
  const Status removed = links.remove(row.device);
  return removed.code() == Code::kNotFound ? Status() : removed;
}

// The lock is held, the row says down.
Status Bridges::make(const Call& call, NetworkRow& row) {
  if (row.driver == "bridge") POUCH_RETURN_IF_ERROR(allow_forwarding(row.ipv4, row.ipv6));
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  POUCH_RETURN_IF_ERROR(clear_place(row, links));
  for (int attempt = 0; attempt < kSubnetAttempts; ++attempt) {
    POUCH_RETURN_IF_ERROR(pick_subnets(row, links, call));
    bool collides = false;
    POUCH_RETURN_IF_ERROR(make_once(row, links, collides));
    if (!collides) return write_up(row, context_.boot_id, call);
  }
  return Status(Code::kResourceExhausted, "others take each subnet at the same time");
}

// With the intent: from here on something may be there.
Status Bridges::pick_subnets(NetworkRow& row, sys::Links& links, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(std::vector<sys::IpNet> used, used_on_host(links, 0));
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(const auto others, subnets_of_networks(transaction, row.id));
  used.insert(used.end(), others.begin(), others.end());
  if (collides_with(row, used)) {
    const auto dropped = std::erase_if(row.pools, [&](const PoolRow& pool) { return may_repick(row, pool); });
    if (dropped == 0) return conflict("somebody else on the host uses its subnet now");
  }
  POUCH_RETURN_IF_ERROR(choose_pools(row, used));
  POUCH_RETURN_IF_ERROR(write_pools(transaction, row));
  return transaction.commit();
}

Status Bridges::write_pools(store::Transaction& transaction, const NetworkRow& row) {
  POUCH_RETURN_IF_ERROR(drop_old_addresses(transaction, row.id, context_.boot_id));
  POUCH_RETURN_IF_ERROR(set_pools(transaction, row));
  if (row.device.empty()) return {};  // nothing of its own is made
  return put_intent(transaction, kBridgeKind, row.device, context_.owner_token, "{}");
}

// Another root may have chosen the same just now: whoever sees the other's address gives way, so that of two
// that add theirs and then look, at least one does.
Status Bridges::make_once(const NetworkRow& row, sys::Links& links, bool& collides) {
  if (has_sub_links(row.driver)) {
    return make_device(row, alias_of(context_.root_dir(), context_.root_id, row), links);
  }
  if (is_plugin_driver(row.driver)) return {};
  POUCH_ASSIGN_OR_RETURN(const BridgeOptions options, bridge_options(row.options));
  const int mtu = options.mtu > 0 ? options.mtu : mtu_of_uplink(links);
  POUCH_RETURN_IF_ERROR(links.add_bridge(row.device, random_mac(), mtu));
  ScopeGuard guard([&] { links.remove(row.device).ignore(); });
  POUCH_ASSIGN_OR_RETURN(const sys::Link bridge, links.find(row.device));
  POUCH_RETURN_IF_ERROR(links.set_alias(bridge.index, alias_of(context_.root_dir(), context_.root_id, row)));
  POUCH_RETURN_IF_ERROR(configure(row, links, bridge));
  POUCH_ASSIGN_OR_RETURN(const auto used, used_on_host(links, bridge.index));
  collides = collides_with(row, used);
  if (collides) return {};
  POUCH_RETURN_IF_ERROR(links.set_up(bridge.index));
  POUCH_RETURN_IF_ERROR(add_to_table(row));
  guard.dismiss();
  return {};
}

Status Bridges::configure(const NetworkRow& row, sys::Links& links, const sys::Link& bridge) {
  const std::string settings = "ipv6/conf/" + row.device + "/";
  POUCH_ASSIGN_OR_RETURN(const BridgeOptions options, bridge_options(row.options));
  if (row.ipv6) {
    POUCH_RETURN_IF_ERROR(sys::set_net_setting(settings + "disable_ipv6", "0"));
    POUCH_RETURN_IF_ERROR(sys::set_net_setting(settings + "accept_ra", "0"));
    // Neighbours of forwarded packets are asked for under the link-local address, which would be tentative
    // for a second or two after the first container has come.
    POUCH_RETURN_IF_ERROR(sys::set_net_setting(settings + "dad_transmits", "0"));
    if (options.mode6 == GatewayMode::kIsolated) {
      constexpr const char* kNone = "1";  // of addr_gen_mode: no link-local address either
      POUCH_RETURN_IF_ERROR(sys::set_net_setting(settings + "addr_gen_mode", kNone));
    }
  }
  for (const PoolRow& pool : row.pools) {
    if (options.inhibit_ipv4 && pool.is_v4()) continue;
    if (options.mode(pool.is_v4()) == GatewayMode::kIsolated) continue;
    POUCH_ASSIGN_OR_RETURN(const sys::IpNet subnet, sys::IpNet::parse(pool.subnet));
    POUCH_ASSIGN_OR_RETURN(const sys::IpAddress gateway, sys::IpAddress::parse(pool.gateway));
    POUCH_RETURN_IF_ERROR(links.add_address(bridge.index, {gateway, subnet.prefix}));
  }
  return {};
}

Status Bridges::add_to_table(const NetworkRow& row) {
  POUCH_ASSIGN_OR_RETURN(auto firewall, sys::BridgeFirewall::open(table_name(context_.root_id)));
  const Status found = firewall.find();
  // Not found: it is not there, or an older build's, which has fewer sets.
  const Status added = found.is_ok() ? firewall.add(rules_of(row)) : found;
  return added.code() == Code::kNotFound ? make_table(row, firewall) : added;
}

// With all that belongs into it: it may be there, and be an older build's.
Status Bridges::make_table(const NetworkRow& row, sys::BridgeFirewall& firewall) {
  POUCH_ASSIGN_OR_RETURN(const auto others, others_up(row));
  std::vector<sys::BridgeRules> bridges{rules_of(row)};
  for (const NetworkRow& other : others) bridges.push_back(rules_of(other));
  std::vector<PublishedPort> ports;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto rows, live_ports(snapshot, context_.boot_id, false));
    for (const PortRow& port : rows) ports.push_back(port.port);
  }
  POUCH_ASSIGN_OR_RETURN(const auto rules, port_rules_of(ports));
  return firewall.create(bridges, rules, context_.root_dir());
}

// The last bridge takes the table along.
Status Bridges::take_out_of_table(const NetworkRow& row) {
  POUCH_ASSIGN_OR_RETURN(auto firewall, sys::BridgeFirewall::open(table_name(context_.root_id)));
  POUCH_ASSIGN_OR_RETURN(const auto others, others_up(row));
  return others.empty() ? firewall.remove() : firewall.take_out(rules_of(row));
}

Status Bridges::write_up(const NetworkRow& row, const std::string& boot, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(set_up_boot(transaction, row.id, boot));
  return transaction.commit();
}

Status Bridges::mend(const std::string& network_id, const Call&) {
  const std::lock_guard guard(mutex_);
  POUCH_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::acquire(lock_path(), Deadline::after_ms(kLockMs)));
  POUCH_ASSIGN_OR_RETURN(const NetworkRow row, read_row(network_id));
  if (row.up_boot != context_.boot_id) return conflict("the network " + quote(row.name) + " was taken down");
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  const auto bridge = links.find(row.device);
  if (bridge.code() == Code::kNotFound) {
    log_warning("network", "bridge " + row.device + " was removed by somebody else and is made anew");
    bool collides = false;
    POUCH_RETURN_IF_ERROR(make_once(row, links, collides));
    if (!collides) return {};
    return conflict("bridge " + row.device + " was removed, and its subnet is in use");
  }
  log_warning("network", "nftables table " + table_name(context_.root_id) +
                             " was removed by somebody else, or is an older build's, and is made anew");
  POUCH_ASSIGN_OR_RETURN(auto firewall, sys::BridgeFirewall::open(table_name(context_.root_id)));
  return make_table(row, firewall);
}

// Taken out of the rules when it has no ports any more: until then they keep others out.
Status Bridges::take_down(const NetworkRow& row, const Call& call) {
  if (row.device.empty()) return {};
  const std::lock_guard guard(mutex_);
  POUCH_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::acquire(lock_path(), Deadline::after_ms(kLockMs)));
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const bool there, has_intent(snapshot, kBridgeKind, row.device));
    if (!there) return {};
  }
  return unmake(row, call);
}

Status Bridges::unmake(const NetworkRow& row, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  POUCH_ASSIGN_OR_RETURN(const bool shared, is_device_shared(row));
  const Status removed = shared ? Status() : links.remove(row.device);
  if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
  if (row.driver == "bridge") POUCH_RETURN_IF_ERROR(take_out_of_table(row));
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(set_up_boot(transaction, row.id, ""));
  if (!shared) POUCH_RETURN_IF_ERROR(drop_intent(transaction, kBridgeKind, row.device));
  return transaction.commit();
}

Status Bridges::take_down_idle(const Call& call) {
  std::optional<NetworkRow> row;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const bool there,
                           has_intent(snapshot, kBridgeKind, bridge_name(context_.root_id)));
    if (!there) return {};
    POUCH_ASSIGN_OR_RETURN(row, find_network(snapshot, kBridgeName));
    if (!row) return {};
  }
  const std::lock_guard guard(mutex_);
  POUCH_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::acquire(lock_path(), Deadline::after_ms(kLockMs)));
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kBootScoped, call));
    POUCH_ASSIGN_OR_RETURN(const auto members, running_members(transaction, row->id, context_.boot_id));
    if (!members.empty()) return {};
    POUCH_RETURN_IF_ERROR(set_up_boot(transaction, row->id, ""));
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  return unmake(*row, call);
}

}  // namespace pouch::network
