#include "core/network/network_manager.h"

#include <utility>

#include "core/api/codec.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/events/event_log.h"
#include "core/network/mode.h"
#include "core/network/records.h"
#include "core/network/subnets.h"
#include "core/sys/bridge_firewall.h"

namespace pouch {

using network::EndpointRow;
using network::NetworkRow;

namespace {

constexpr const char* kContainerLink = "eth0";
constexpr int kAttachAttempts = 10;  // against one that is taken down again and again

bool is_on_bridge(const api::HostConfig& host) {
  return network::mode_of(host) == network::kBridgeName;
}

Result<sys::IpAddress> free_address(store::Session& session, const NetworkRow& row) {
  POUCH_ASSIGN_OR_RETURN(const sys::IpNet subnet, sys::IpNet::parse(row.subnet));
  POUCH_ASSIGN_OR_RETURN(const sys::IpAddress gateway, sys::IpAddress::parse(row.gateway));
  const auto last = sys::IpAddress::parse(row.last_address);
  return network::next_address(subnet, gateway, last.is_ok() ? *last : sys::IpAddress(),
                               [&](const sys::IpAddress& address) {
                                 return network::is_address_taken(session, row.id, address.to_string());
                               });
}

Result<std::string> mac_for(const EndpointRow& endpoint, const sys::IpAddress& address) {
  POUCH_ASSIGN_OR_RETURN(const api::EndpointSettings settings, endpoint.settings());
  const std::string asked = settings.mac_address.value_or("");
  return asked.empty() ? sys::mac_text(network::mac_of(address)) : asked;
}

// Of all its legs, in their order.
std::vector<sys::IpAddress> addresses_of(const NetworkPlan& plan) {
  std::vector<sys::IpAddress> addresses;
  for (const NetworkLeg& leg : plan.legs) {
    if (const auto net = sys::IpNet::parse(leg.address); net.is_ok()) addresses.push_back(net->address);
  }
  return addresses;
}

std::string intent_data(const std::string& netns_path) {
  Json data = json_object();
  data["netns"] = netns_path;
  return write_json(data);
}

}  // namespace

std::vector<std::string> NetworkManager::warnings(const api::HostConfig& host) {
  std::vector<std::string> out = network::port_warnings(host);
  if (!is_on_bridge(host)) return out;
  const std::string device = network::bridge_name(context_.root_id);
  auto firewall = sys::BridgeFirewall::open(network::table_name(context_.root_id));
  if (!firewall.is_ok()) return out;  // the start says what is missing
  const auto chains = firewall->dropping_chains(device);
  if (!chains.is_ok()) return out;
  for (const sys::DroppingChain& chain : *chains) {
    if (chain.mentions_device) continue;
    const bool iptables = chain.family == "ip" && chain.table == "filter" && chain.chain == "FORWARD";
    const std::string rule = iptables ? "iptables -I FORWARD -i " + device +
                                            " -j ACCEPT; iptables -I FORWARD -o " + device + " -j ACCEPT"
                                      : "accept packets from and to " + device + " there";
    out.push_back(
        "The chain " + chain.chain + " of nftables table " + chain.family + " " + chain.table +
        " drops forwarded packets: containers on the network bridge cannot reach other hosts" +
        (network::publishes(host) ? ", nor be reached from there at published ports" : "") + ". To let them: " + rule);
  }
  return out;
}

Status NetworkManager::add_endpoints(store::Session& session, const ContainerId& id,
                                     const api::HostConfig& host, const EndpointRequests& requests) {
  if (!is_on_bridge(host)) return {};
  POUCH_ASSIGN_OR_RETURN(const NetworkRow row, bridge_.ensure_row(session));
  const auto asked = requests.find(row.name);
  EndpointRow endpoint;
  endpoint.network_id = row.id;
  endpoint.container_id = id;
  endpoint.settings_json =
      api::to_json_text(asked == requests.end() ? api::EndpointSettings{} : asked->second);
  return network::insert_endpoint(session, endpoint);
}

Status NetworkManager::append_event(store::Transaction& transaction, const NetworkRow& network,
                                    const std::string& action, const ContainerId& container) {
  events::Event event;
  event.type = "network";
  event.action = action;
  event.actor_id = network.id;
  event.attributes = {{"container", container.str()}, {"name", network.name}, {"type", network.driver}};
  return context_.events->append(transaction, std::move(event)).status();
}

// False: the network is down.
Result<bool> NetworkManager::try_attach(const ContainerId& id, int64_t generation, NetworkPlan& plan,
                                        const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(NetworkRow row, bridge_.ensure_row(transaction));
  POUCH_ASSIGN_OR_RETURN(auto endpoint, network::find_endpoint(transaction, row.id, id));
  if (!endpoint) {  // created by a build that knew no networks
    endpoint = EndpointRow{row.id, id, "{}"};
    POUCH_RETURN_IF_ERROR(network::insert_endpoint(transaction, *endpoint));
  }
  if (row.up_boot != context_.boot_id) {
    POUCH_RETURN_IF_ERROR(transaction.commit());
    return false;
  }
  POUCH_ASSIGN_OR_RETURN(const sys::IpAddress address, free_address(transaction, row));
  POUCH_ASSIGN_OR_RETURN(const sys::IpNet subnet, sys::IpNet::parse(row.subnet));
  endpoint->endpoint_id = new_object_id();
  endpoint->generation = generation;
  endpoint->boot_id = context_.boot_id;
  endpoint->address = address.to_string();
  POUCH_ASSIGN_OR_RETURN(endpoint->mac, mac_for(*endpoint, address));
  row.last_address = endpoint->address;
  const std::string key = network::sandbox_key(id, generation);
  plan.netns_path = netns_dir() + "/" + key;
  plan.legs = {{row.device, kContainerLink, endpoint->mac, sys::IpNet{address, subnet.prefix}.to_string(),
                row.gateway}};
  POUCH_RETURN_IF_ERROR(network::set_running(transaction, *endpoint));
  POUCH_RETURN_IF_ERROR(network::set_pool(transaction, row));
  POUCH_RETURN_IF_ERROR(network::put_intent(transaction, network::kSandboxKind, key, context_.owner_token,
                                            intent_data(plan.netns_path)));
  POUCH_RETURN_IF_ERROR(append_event(transaction, row, "connect", id));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return true;
}

Result<NetworkPlan> NetworkManager::attach(const ContainerId& id, int64_t generation,
                                           const api::HostConfig& host, const Call& call) {
  NetworkPlan plan;
  if (!is_on_bridge(host)) return plan;
  for (int attempt = 0; attempt < kAttachAttempts; ++attempt) {
    POUCH_ASSIGN_OR_RETURN(const bool attached, try_attach(id, generation, plan, call));
    if (attached) {
      POUCH_ASSIGN_OR_RETURN(plan.ports, ports_.claim(id, generation, host, addresses_of(plan), call));
      return plan;
    }
    POUCH_RETURN_IF_ERROR(bridge_.bring_up(call));
  }
  return unavailable("the network bridge is taken down again and again");
}

Status NetworkManager::detach(store::Transaction& transaction, const ContainerId& id, int64_t generation) {
  POUCH_ASSIGN_OR_RETURN(const bool was_there, network::set_ended(transaction, id, generation));
  if (!was_there) return {};
  POUCH_ASSIGN_OR_RETURN(const NetworkRow row, bridge_.ensure_row(transaction));
  return append_event(transaction, row, "disconnect", id);
}

Result<NetworkView> NetworkManager::view(store::Session& session, const ContainerId& id, int64_t generation,
                                         const api::HostConfig& host) {
  NetworkView out;
  const std::string mode = network::mode_of(host);
  api::EndpointSettings& shown = out.networks[mode];
  if (!is_on_bridge(host)) return out;
  POUCH_ASSIGN_OR_RETURN(const auto row, network::find_network(session, mode));
  if (!row) return out;
  POUCH_ASSIGN_OR_RETURN(const auto endpoint, network::find_endpoint(session, row->id, id));
  if (!endpoint) return out;
  POUCH_ASSIGN_OR_RETURN(shown, endpoint->settings());
  if (endpoint->generation > 0) shown.network_id = row->id;  // as in Docker, from the first start on
  if (endpoint->endpoint_id.empty() || endpoint->boot_id != context_.boot_id) return out;
  const auto subnet = sys::IpNet::parse(row->subnet);
  shown.endpoint_id = endpoint->endpoint_id;
  shown.mac_address = endpoint->mac;
  shown.ip_address = endpoint->address;
  shown.gateway = row->gateway;
  if (subnet.is_ok()) shown.ip_prefix_len = int64_t{subnet->prefix};
  const std::string key = network::sandbox_key(id, generation);
  out.sandbox_id = sha256_digest(key).substr(sizeof "sha256:" - 1);
  out.sandbox_key = netns_dir() + "/" + key;
  POUCH_ASSIGN_OR_RETURN(out.ports, network::ports_of(session, id, generation));
  return out;
}

Status NetworkManager::take_down_idle(const Call& call) {
  // No keeper serves any more: it is this one, whose sockets go with it.
  holds_ports_ = true;
  POUCH_RETURN_IF_ERROR(ports_.free_ended(call, false));
  POUCH_RETURN_IF_ERROR(sweep(call));
  return bridge_.take_down_idle(call);
}

}  // namespace pouch
