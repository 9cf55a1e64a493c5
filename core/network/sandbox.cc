// What a container's networks are outside of the database: its namespace and the links in it.

#include <dirent.h>

#include <algorithm>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/network/network_manager.h"
#include "core/network/plugged.h"
#include "core/network/records.h"
#include "core/network/routes.h"
#include "core/network/sub_links.h"
#include "core/sys/bridge_firewall.h"
#include "core/sys/file.h"
#include "core/sys/mounts.h"
#include "core/sys/net_namespace.h"
#include "core/sys/secure_dir.h"

namespace pouch {

namespace {

constexpr int64_t kSweepMs = 60'000;

// IPv6 comes with networks that have it; without them a container has it on its loopback alone, as in Docker.
const sys::NetSettings& sandbox_settings() {
  static const auto* settings =
      std::make_unique<sys::NetSettings>(sys::NetSettings{{"ipv6/conf/default/disable_ipv6", "1"}}).release();
  return *settings;
}

}  // namespace

NetworkManager::NetworkManager(EngineContext& context)
    : context_(context),
      bridges_(context),
      ports_(context),
      plugs_(context),
      sweeper_({"network", "remove what ended containers left",
                [this] {
                  return sweep(Call{Deadline::after_ms(kSweepMs), nullptr, {}});
                },
                [this](std::function<void()> work) { context_.executor->submit(std::move(work)); }}) {}

NetworkManager::~NetworkManager() {
  close();
}

void NetworkManager::close() {
  sweeper_.close();
}

Status NetworkManager::join(const NetworkLeg& leg, int netns, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(sys::Links host, sys::Links::open());
  const bool is_shared = network::has_sub_links(leg.driver);
  POUCH_RETURN_IF_ERROR(is_shared ? network::add_sub_link(leg, host, netns)
                                  : add_port(leg, host, netns, call));
  return sys::in_net_namespace(netns, [&leg] { return network::configure_link(leg); });
}

Status NetworkManager::add_port(const NetworkLeg& leg, sys::Links& host, int netns, const Call& call) {
  auto bridge = host.find(leg.bridge);
  POUCH_ASSIGN_OR_RETURN(auto firewall, sys::BridgeFirewall::open(network::table_name(context_.root_id)));
  if (bridge.code() == Code::kNotFound || firewall.find().code() == Code::kNotFound) {
    POUCH_RETURN_IF_ERROR(bridges_.mend(leg.network_id, call));
    bridge = host.find(leg.bridge);
  }
  if (!bridge.is_ok()) return bridge.status();
  sys::VethSpec veth;
  veth.name = leg.veth;
  veth.master = bridge->index;
  veth.mtu = bridge->mtu;
  veth.peer_name = leg.link;
  veth.peer_netns = netns;
  POUCH_ASSIGN_OR_RETURN(veth.peer_mac, sys::parse_mac(leg.mac));
  POUCH_RETURN_IF_ERROR(host.add_veth(veth));
  if (leg.is_isolated) {
    POUCH_ASSIGN_OR_RETURN(const sys::Link port, host.find(leg.veth));
    POUCH_RETURN_IF_ERROR(host.isolate_port(port.index));
  }
  if (leg.is_hairpin) {
    POUCH_ASSIGN_OR_RETURN(const sys::Link port, host.find(leg.veth));
    POUCH_RETURN_IF_ERROR(host.set_hairpin(port.index));
  }
  return {};
}

namespace {

// Of a link that a plugin made. CNI's have made the route too.
Status lead_out(const NetworkLeg& leg, int netns) {
  if (!leg.is_default4 && !leg.is_default6) return {};
  return sys::in_net_namespace(netns, [&leg]() -> Status {
    POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
    return network::set_default_routes(links, leg);
  });
}

}  // namespace

Result<UniqueFd> NetworkManager::make_namespace(const NetworkPlan& plan) {
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(netns_dir()).status());
  auto made = sys::create_net_namespace(plan.netns_path, sandbox_settings());
  if (!made.is_ok()) return made.status();
  return std::move(made->fd);
}

Status NetworkManager::build(const NetworkPlan& plan, const Call& call) {
  const bool is_anothers = !plan.shared_with.str().empty();
  if (plan.netns_path.empty() || is_anothers) return {};
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const UniqueFd netns,
                         plan.is_made ? sys::open_net_namespace(plan.netns_path) : make_namespace(plan));
  for (const NetworkLeg& leg : plan.legs) {
    if (network::is_plugin_driver(leg.driver)) {
      POUCH_RETURN_IF_ERROR(lead_out(leg, netns.get()));
      continue;
    }
    POUCH_RETURN_IF_ERROR(join(leg, netns.get(), call)
                              .prefix("join " + (leg.bridge.empty() ? "the network of " + leg.parent
                                                                    : "bridge " + leg.bridge)));
  }
  return publish(plan, call);
}

Status NetworkManager::publish(const NetworkPlan& plan, const Call& call) {
  std::vector<std::string> bridges;
  std::string network_id;
  for (const NetworkLeg& leg : plan.legs) {
    if (!leg.is_hairpin) continue;
    bridges.push_back(leg.bridge);
    network_id = leg.network_id;
  }
  const Status published = ports_.publish(plan.ports, bridges);
  if (published.code() != Code::kNotFound) return published;
  POUCH_RETURN_IF_ERROR(bridges_.mend(network_id, call));
  return ports_.publish(plan.ports, bridges);
}

// A keeper first takes what the one before it had.
Status NetworkManager::free_ports(const Call& call) {
  if (context_.options.role == EngineRole::kKeeper && !holds_ports_.exchange(true)) {
    if (Status held = ports_.hold_running(call); !held.is_ok()) {
      holds_ports_ = false;
      return held;
    }
  }
  return ports_.free_ended(call, true);
}

namespace {

// Somebody may still be in it, who joined the container's network: the addresses are others' now.
Status empty_namespace(const std::string& path) {
  const auto netns = sys::open_net_namespace(path);
  if (netns.code() == Code::kNotFound) return {};
  if (!netns.is_ok()) return netns.status();
  return sys::in_net_namespace(netns->get(), []() -> Status {
    POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
    POUCH_ASSIGN_OR_RETURN(const auto all, links.list());
    for (const sys::Link& link : all) {
      if (link.kind != "veth" && !network::has_sub_links(link.kind)) continue;
      const Status removed = links.remove(link.name);
      if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
    }
    return {};
  });
}

}  // namespace

// The kernel ends a namespace, and both ends of its veths, some time after its last user and its pin are
// gone: nobody waits for the grace periods.
Status NetworkManager::sweep(const Call& call) {
  Status first = free_ports(call);
  std::vector<network::SandboxIntent> ended;
  bool has_guests = false;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(ended, network::ended_sandboxes(snapshot, context_.boot_id));
    if (!ended.empty()) {
      POUCH_ASSIGN_OR_RETURN(has_guests, network::has_guests(snapshot));
    }
  }
  if (const Status recovered = recover_networks(call); first.is_ok()) first = recovered;
  if (const Status recovered = recover_endpoints(call); first.is_ok()) first = recovered;
  // Plugins first, while the namespaces are there. Also without any: what failed before is tried again.
  if (const Status undone = plugs_.sweep(false, call); first.is_ok()) first = undone;
  if (ended.empty()) return first;
  for (auto at = ended.begin(); at != ended.end();) {
    Status removed = has_guests ? empty_namespace(at->path) : Status();
    if (removed.is_ok()) removed = sys::remove_net_namespace(at->path);
    if (first.is_ok()) first = removed;
    at = removed.is_ok() ? at + 1 : ended.erase(at);
  }
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  for (const network::SandboxIntent& sandbox : ended) {
    POUCH_RETURN_IF_ERROR(network::drop_intent(transaction, network::kSandboxKind, sandbox.key));
  }
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return first;
}

void NetworkManager::sweep_soon() {
  sweeper_.soon();
}

namespace network {

Status remove_remains(const std::string& root_id, const std::string& run_dir) {
  const std::string dir = run_dir + "/netns";
  Status first = sys::unmount_tree(dir);
  const auto keep = [&first](const Status& status) {
    if (first.is_ok() && status.code() != Code::kNotFound) first = status;
  };
  keep(sys::remove_tree(dir));
  auto firewall = sys::BridgeFirewall::open(table_name(root_id));
  keep(firewall.is_ok() ? firewall->remove() : firewall.status());
  auto links = sys::Links::open();
  if (!links.is_ok()) return links.status();
  keep(links->remove(bridge_name(root_id)));
  POUCH_ASSIGN_OR_RETURN(const auto all, links->list());
  for (const sys::Link& link : all) {
    if (is_of_root(link, root_id)) keep(links->remove(link.name));
  }
  return first;
}

}  // namespace network

}  // namespace pouch
