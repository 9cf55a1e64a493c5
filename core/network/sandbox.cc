// What a container's networks are outside of the database: its namespace and the links in it.

#include <dirent.h>

#include <condition_variable>
#include <mutex>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/network/network_manager.h"
#include "core/network/records.h"
#include "core/sys/bridge_firewall.h"
#include "core/sys/file.h"
#include "core/sys/mounts.h"
#include "core/sys/net_namespace.h"
#include "core/sys/secure_dir.h"

namespace pouch {

namespace {

constexpr int kNameAttempts = 8;
constexpr size_t kRootDigits = 6;  // of the root's id in the name of a veth's end, which has 15 bytes
constexpr int64_t kSweepMs = 60'000;

// IPv6 comes with networks that have it; without them a container has it on its loopback alone, as in Docker.
const sys::NetSettings& sandbox_settings() {
  static const auto* settings =
      std::make_unique<sys::NetSettings>(sys::NetSettings{{"ipv6/conf/default/disable_ipv6", "1"}}).release();
  return *settings;
}

std::string veth_name(const std::string& root_id) {
  return "pv" + root_id.substr(0, kRootDigits) + random_hex(4).substr(1);
}

}  // namespace

/// One sweep at a time, and one more for what was asked meanwhile.
struct NetworkManager::Background {
  std::mutex mutex;
  std::condition_variable idle;
  // Below protected by mutex.
  bool running = false;
  bool again = false;
  bool closed = false;
};

NetworkManager::NetworkManager(EngineContext& context)
    : context_(context), bridge_(context), ports_(context), background_(std::make_shared<Background>()) {}

NetworkManager::~NetworkManager() {
  std::unique_lock lock(background_->mutex);
  background_->closed = true;
  background_->idle.wait(lock, [this] { return !background_->running; });
}

Status NetworkManager::join(const NetworkPlan& plan, const NetworkLeg& leg, int netns, sys::Links& inside) {
  POUCH_ASSIGN_OR_RETURN(sys::Links host, sys::Links::open());
  auto bridge = host.find(leg.bridge);
  POUCH_ASSIGN_OR_RETURN(auto firewall, sys::BridgeFirewall::open(network::table_name(context_.root_id)));
  if (bridge.code() == Code::kNotFound || firewall.find().code() == Code::kNotFound) {
    POUCH_RETURN_IF_ERROR(bridge_.mend(Call{Deadline::after_ms(kSweepMs), nullptr, {}}));
    bridge = host.find(leg.bridge);
  }
  if (!bridge.is_ok()) return bridge.status();
  sys::VethSpec veth;
  veth.master = bridge->index;
  veth.mtu = bridge->mtu;
  veth.peer_name = leg.link;
  veth.peer_netns = netns;
  POUCH_ASSIGN_OR_RETURN(veth.peer_mac, sys::parse_mac(leg.mac));
  Status made = internal_error("no name was tried");
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    veth.name = veth_name(context_.root_id);
    made = host.add_veth(veth);
    if (made.code() != Code::kAlreadyExists) break;
  }
  POUCH_RETURN_IF_ERROR(made);
  if (!plan.ports.empty()) {
    POUCH_ASSIGN_OR_RETURN(const sys::Link port, host.find(veth.name));
    POUCH_RETURN_IF_ERROR(host.set_hairpin(port.index));
  }
  POUCH_ASSIGN_OR_RETURN(const sys::Link link, inside.find(leg.link));
  POUCH_ASSIGN_OR_RETURN(const sys::IpNet address, sys::IpNet::parse(leg.address));
  POUCH_RETURN_IF_ERROR(inside.add_address(link.index, address));
  POUCH_RETURN_IF_ERROR(inside.set_up(link.index));
  if (leg.gateway.empty() || &leg != &plan.legs.front()) return {};
  POUCH_ASSIGN_OR_RETURN(const sys::IpAddress gateway, sys::IpAddress::parse(leg.gateway));
  return inside.add_default_route(link.index, gateway);
}

Status NetworkManager::build(const NetworkPlan& plan, const Call& call) {
  if (plan.netns_path.empty()) return {};
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(netns_dir()).status());
  auto made = sys::create_net_namespace(plan.netns_path, sandbox_settings());
  if (!made.is_ok()) return made.status();
  for (const NetworkLeg& leg : plan.legs) {
    POUCH_RETURN_IF_ERROR(join(plan, leg, made->fd.get(), made->links).prefix("join bridge " + leg.bridge));
  }
  return publish(plan);
}

Status NetworkManager::publish(const NetworkPlan& plan) {
  std::vector<std::string> bridges;
  for (const NetworkLeg& leg : plan.legs) bridges.push_back(leg.bridge);
  const Status published = ports_.publish(plan.ports, bridges);
  if (published.code() != Code::kNotFound) return published;
  POUCH_RETURN_IF_ERROR(bridge_.mend(Call{Deadline::after_ms(kSweepMs), nullptr, {}}));
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

// The kernel ends a namespace, and both ends of its veths, some time after its last user and its pin are
// gone: nobody waits for the grace periods.
Status NetworkManager::sweep(const Call& call) {
  Status first = free_ports(call);
  std::vector<network::SandboxIntent> ended;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(ended, network::ended_sandboxes(snapshot, context_.boot_id));
  }
  if (ended.empty()) return first;
  for (auto at = ended.begin(); at != ended.end();) {
    const Status removed = sys::remove_net_namespace(at->path);
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
  {
    const std::lock_guard lock(background_->mutex);
    if (background_->closed || std::exchange(background_->running, true)) {
      background_->again = true;
      return;
    }
  }
  context_.executor->submit([this, state = background_] {
    while (true) {
      const Status swept = sweep(Call{Deadline::after_ms(kSweepMs), nullptr, {}});
      if (!swept.is_ok()) log_warning("network", "remove what ended containers left: " + swept.message());
      const std::lock_guard lock(state->mutex);
      if (std::exchange(state->again, false) && !state->closed) continue;
      state->running = false;
      state->idle.notify_all();
      return;
    }
  });
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
  keep(links.is_ok() ? links->remove(bridge_name(root_id)) : links.status());
  return first;
}

}  // namespace network

}  // namespace pouch
