#include "core/network/default_bridge.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/network/mode.h"
#include "core/network/port_rows.h"
#include "core/network/subnets.h"
#include "core/sys/bridge_firewall.h"
#include "core/sys/file.h"
#include "core/sys/net_namespace.h"

namespace pouch::network {
namespace {

constexpr int kSubnetAttempts = 20;
constexpr int64_t kLockMs = 30'000;
constexpr int kDefaultMtu = 1500;

uint64_t random_number() {
  uint64_t number = 0;
  [[maybe_unused]] const ssize_t got = ::getrandom(&number, sizeof number, 0);
  return number;
}

// Locally administered, unicast.
sys::MacAddress random_mac() {
  const uint64_t number = random_number();
  sys::MacAddress mac{};
  std::memcpy(mac.data(), &number, mac.size());
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

Status remove_if_there(sys::Links& links, const std::string& name) {
  const Status removed = links.remove(name);
  return removed.code() == Code::kNotFound ? Status() : removed;
}

Status allow_forwarding() {
  return sys::set_net_setting("ipv4/ip_forward", "1").prefix("let the host forward packets");
}

Status make_table(const EngineContext& context, const NetworkRow& row) {
  POUCH_ASSIGN_OR_RETURN(const sys::IpNet subnet, sys::IpNet::parse(row.subnet));
  POUCH_ASSIGN_OR_RETURN(auto firewall, sys::BridgeFirewall::open(table_name(context.root_id)));
  std::vector<sys::PortRule> ports;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto rows, live_ports(snapshot, context.boot_id, false));
    for (const PortRow& port : rows) {
      POUCH_ASSIGN_OR_RETURN(const sys::PortRule rule, rule_of(port.port));
      ports.push_back(rule);
    }
  }
  return firewall.create({{row.device, {subnet}}}, ports, context.root_dir());
}

}  // namespace

std::string bridge_name(const std::string& root_id) {
  return "pb-" + root_id;
}

std::string table_name(const std::string& root_id) {
  return "pouch_" + root_id;
}

Result<NetworkRow> DefaultBridge::ensure_row(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(const auto found, find_network(session, kBridgeName));
  if (found) return *found;
  NetworkRow row;
  row.id = new_object_id();
  row.name = kBridgeName;
  row.driver = "bridge";
  row.device = bridge_name(context_.root_id);
  POUCH_RETURN_IF_ERROR(insert_network(session, row));
  return row;
}

Result<NetworkRow> DefaultBridge::read_row() {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(auto row, find_network(snapshot, kBridgeName));
  if (!row) return not_found("network bridge not found");
  return std::move(*row);
}

Status DefaultBridge::bring_up(const Call& call) {
  const std::lock_guard guard(mutex_);
  POUCH_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::acquire(lock_path(), Deadline::after_ms(kLockMs)));
  POUCH_ASSIGN_OR_RETURN(NetworkRow row, read_row());
  if (row.up_boot == context_.boot_id) return {};  // another was first
  return make(call, row).prefix("bring up the network " + quote(row.name));
}

// The lock is held, the row says down.
Status DefaultBridge::make(const Call& call, NetworkRow& row) {
  POUCH_RETURN_IF_ERROR(allow_forwarding());
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  POUCH_RETURN_IF_ERROR(remove_if_there(links, row.device));  // what a crash left
  for (int attempt = 0; attempt < kSubnetAttempts; ++attempt) {
    POUCH_RETURN_IF_ERROR(pick_subnet(row, links));
    POUCH_RETURN_IF_ERROR(write_pool(row, call));
    bool collides = false;
    POUCH_RETURN_IF_ERROR(make_once(row, links, collides));
    if (!collides) return write_up(row, context_.boot_id, call);
  }
  return Status(Code::kResourceExhausted, "others take each subnet at the same time");
}

Status DefaultBridge::pick_subnet(NetworkRow& row, sys::Links& links) {
  POUCH_ASSIGN_OR_RETURN(const auto addresses, links.addresses());
  POUCH_ASSIGN_OR_RETURN(const auto routes, links.routes());
  const auto used = used_subnets(addresses, routes, 0);
  if (!row.subnet.empty()) {
    POUCH_ASSIGN_OR_RETURN(const sys::IpNet former, sys::IpNet::parse(row.subnet));
    if (choose_subnet({former}, 0, used)) return {};
  }
  const auto chosen = choose_subnet(default_subnets(), random_number(), used);
  if (!chosen) {
    return Status(Code::kResourceExhausted,
                  "every subnet for it overlaps with an address or a route of the host");
  }
  row.subnet = chosen->to_string();
  row.gateway = gateway_of(*chosen).to_string();
  row.last_address.clear();
  return {};
}

// Another root may have chosen the same just now: whoever sees the other's address gives way, so that of two
// that add theirs and then look, at least one does.
Status DefaultBridge::make_once(const NetworkRow& row, sys::Links& links, bool& collides) {
  POUCH_ASSIGN_OR_RETURN(const sys::IpNet subnet, sys::IpNet::parse(row.subnet));
  POUCH_RETURN_IF_ERROR(links.add_bridge(row.device, random_mac(), mtu_of_uplink(links)));
  ScopeGuard guard([&] { links.remove(row.device).ignore(); });
  POUCH_ASSIGN_OR_RETURN(const sys::Link bridge, links.find(row.device));
  POUCH_RETURN_IF_ERROR(links.add_address(bridge.index, {gateway_of(subnet), subnet.prefix}));
  POUCH_ASSIGN_OR_RETURN(const auto addresses, links.addresses());
  POUCH_ASSIGN_OR_RETURN(const auto routes, links.routes());
  collides = !choose_subnet({subnet}, 0, used_subnets(addresses, routes, bridge.index));
  if (collides) return {};
  POUCH_RETURN_IF_ERROR(links.set_alias(bridge.index, context_.root_dir()));
  POUCH_RETURN_IF_ERROR(links.set_up(bridge.index));
  POUCH_RETURN_IF_ERROR(make_table(context_, row));
  guard.dismiss();
  return {};
}

// With the intent: from here on something may be there.
Status DefaultBridge::write_pool(const NetworkRow& row, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(drop_old_addresses(transaction, row.id, context_.boot_id));
  POUCH_RETURN_IF_ERROR(set_pool(transaction, row));
  POUCH_RETURN_IF_ERROR(put_intent(transaction, kBridgeKind, row.device, context_.owner_token, "{}"));
  return transaction.commit();
}

Status DefaultBridge::write_up(const NetworkRow& row, const std::string& boot, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(set_up_boot(transaction, row.id, boot));
  return transaction.commit();
}

Status DefaultBridge::mend(const Call&) {
  const std::lock_guard guard(mutex_);
  POUCH_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::acquire(lock_path(), Deadline::after_ms(kLockMs)));
  POUCH_ASSIGN_OR_RETURN(const NetworkRow row, read_row());
  if (row.up_boot != context_.boot_id) return conflict("the network " + quote(row.name) + " was taken down");
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  const auto bridge = links.find(row.device);
  if (bridge.code() == Code::kNotFound) {
    log_warning("network", "bridge " + row.device + " was removed by somebody else and is made anew");
    bool collides = false;
    POUCH_RETURN_IF_ERROR(make_once(row, links, collides));
    if (!collides) return {};
    return conflict("bridge " + row.device + " was removed, and its subnet " + row.subnet + " is in use");
  }
  log_warning("network", "nftables table " + table_name(context_.root_id) +
                             " was removed by somebody else and is made anew");
  return make_table(context_, row);
}

Result<bool> DefaultBridge::is_there() {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  return has_intent(snapshot, kBridgeKind, bridge_name(context_.root_id));
}

Status DefaultBridge::take_down_idle(const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const bool there, is_there());
  if (!there) return {};
  const std::lock_guard guard(mutex_);
  POUCH_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::acquire(lock_path(), Deadline::after_ms(kLockMs)));
  POUCH_ASSIGN_OR_RETURN(const NetworkRow row, read_row());
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kBootScoped, call));
    POUCH_ASSIGN_OR_RETURN(const bool busy, has_running_endpoints(transaction, row.id));
    if (busy) return {};
    POUCH_RETURN_IF_ERROR(set_up_boot(transaction, row.id, ""));
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  POUCH_ASSIGN_OR_RETURN(auto firewall, sys::BridgeFirewall::open(table_name(context_.root_id)));
  POUCH_RETURN_IF_ERROR(firewall.remove());
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  POUCH_RETURN_IF_ERROR(remove_if_there(links, row.device));
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(drop_intent(transaction, kBridgeKind, row.device));
  return transaction.commit();
}

}  // namespace pouch::network
