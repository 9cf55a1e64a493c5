#include "core/network/plugs.h"

#include <sys/socket.h>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/network/cni_network.h"
#include "core/network/legs.h"
#include "core/network/remote_driver.h"
#include "core/network/remote_ipam.h"
#include "core/network/routes.h"
#include "core/sys/links.h"
#include "core/sys/net_namespace.h"

namespace pouch::network {
namespace {

bool is_remote(const std::string& driver) {
  return is_plugin_driver(driver) && driver != kCni;
}

// As Docker, whose words these are.
Status lookup(const Status& status, const std::string& driver) {
  if (status.code() != Code::kNotFound) return status;
  return not_found("could not find plugin " + driver + " in v1 plugin registry: plugin " + quote(driver) +
                   " not found");
}

// A plugin that answers something else than yes has had its say: asking again would not end.
Status unless_refused(const Status& status, const std::string& what) {
  if (status.code() != Code::kInternal) return status;
  log_warning("network", what + ": " + status.message());
  return {};
}

// CNI's plugins fail where there is one already. Which network leads out is set when all are joined.
Status clear_default_routes(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd netns, sys::open_net_namespace(path));
  return sys::in_net_namespace(netns.get(), []() -> Status {
    POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
    for (const int family : {AF_INET, AF_INET6}) {
      Status removed;
      while (removed.is_ok()) removed = links.remove_default_route(family);
      if (removed.code() != Code::kNotFound) return removed;
    }
    return {};
  });
}

std::vector<std::string> link_local_of(const api::EndpointSettings& asked) {
  const api::EndpointIPAMConfig ipam = asked.ipam_config.value_or(api::EndpointIPAMConfig{});
  return ipam.link_local_ips.value_or(std::vector<std::string>{});
}

// No CNI plugin is asked for these.
Status add_inside(const Attachment& attachment, const std::vector<std::string>& link_local) {
  if (link_local.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const UniqueFd netns, sys::open_net_namespace(attachment.netns));
  return sys::in_net_namespace(netns.get(), [&] { return add_link_local(attachment.link, link_local); });
}

}  // namespace

Status Plugs::check(const NetworkRow& row, const Call& call) const {
  if (row.driver == kCni) POUCH_RETURN_IF_ERROR(check_cni(row, context_.root_dir(), call));
  if (is_remote(row.driver)) {
    POUCH_RETURN_IF_ERROR(lookup(RemoteDriver::open(row.driver, call).status(), row.driver));
  }
  if (row.ipam_driver.empty()) return {};
  const Status found = RemoteIpam::open(row.ipam_driver, call).status();
  return found.code() == Code::kNotFound ? not_found("could not find IPAM driver " + quote(row.ipam_driver))
                                         : found;
}

Status Plugs::take_pools(NetworkRow& row, const Call& call) const {
  if (row.ipam_driver.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const RemoteIpam ipam, RemoteIpam::open(row.ipam_driver, call));
  return ipam.take_pools(row, call);
}

void Plugs::give_back_pools(const NetworkRow& row, const Call& call) const {
  if (row.ipam_driver.empty()) return;
  const auto ipam = RemoteIpam::open(row.ipam_driver, call);
  const Status done = ipam.is_ok() ? ipam->give_back_pools(row, call) : ipam.status();
  if (!done.is_ok()) log_warning("network", "give back pools of " + row.name + ": " + done.message());
}

Status Plugs::create(const NetworkRow& row, const Call& call) const {
  if (!is_remote(row.driver)) return {};
  POUCH_ASSIGN_OR_RETURN(const RemoteDriver driver, RemoteDriver::open(row.driver, call));
  return driver.create_network(row, call);
}

Status Plugs::check_removal(const NetworkRow& row, const Call& call) const {
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const bool left, has_attachments(snapshot, row.id));
    if (left) return unavailable("containers are still being detached from network " + row.name);
  }
  NetworkRow asked = row;
  if (asked.driver == kCni) asked.driver = "bridge";  // nothing is asked: its list may be gone
  return check(asked, call);
}

Status Plugs::remove(const NetworkRow& row, const Call& call) const {
  if (is_remote(row.driver)) {
    POUCH_ASSIGN_OR_RETURN(const RemoteDriver driver, RemoteDriver::open(row.driver, call));
    POUCH_RETURN_IF_ERROR(unless_refused(driver.remove_network(row.id, call), "remove network " + row.name));
  }
  collect(row, call);
  if (row.ipam_driver.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const RemoteIpam ipam, RemoteIpam::open(row.ipam_driver, call));
  return unless_refused(ipam.give_back_pools(row, call), "give back pools of " + row.name);
}

Status Plugs::intend(store::Session& session, const NetworkRow& row, const EndpointRow& endpoint,
                     const std::string& sandbox, const std::string& netns) const {
  if (!has_plugin(row)) return {};
  Attachment attachment;
  attachment.endpoint_id = endpoint.endpoint_id;
  attachment.network_id = row.id;
  attachment.driver = row.driver;
  attachment.ipam_driver = row.ipam_driver;
  attachment.sandbox = sandbox;
  attachment.netns = netns;
  attachment.link = endpoint.link;
  return put_attachment(session, attachment, context_.owner_token);
}

Status Plugs::save(const Attachment& attachment, const Call& call) const {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(put_attachment(transaction, attachment, context_.owner_token));
  return transaction.commit();
}

// If it has not ended meanwhile.
Status Plugs::save(const EndpointRow& endpoint, const Call& call) const {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(const auto there,
                         find_endpoint(transaction, endpoint.network_id, endpoint.container_id));
  if (!there || there->endpoint_id != endpoint.endpoint_id) return conflict("it has ended meanwhile");
  EndpointRow row = endpoint;
  row.state = there->state;
  POUCH_RETURN_IF_ERROR(set_running(transaction, row));
  return transaction.commit();
}

Result<Attachment> Plugs::load(const std::string& endpoint_id) const {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(auto attachment, find_attachment(snapshot, endpoint_id));
  return attachment ? Result<Attachment>(std::move(*attachment)) : conflict("it has ended meanwhile");
}

Status Plugs::take_addresses(const NetworkRow& row, EndpointRow& endpoint, const Call& call) const {
  if (row.ipam_driver.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(Attachment attachment, load(endpoint.endpoint_id));
  POUCH_ASSIGN_OR_RETURN(const RemoteIpam ipam, RemoteIpam::open(row.ipam_driver, call));
  POUCH_ASSIGN_OR_RETURN(const api::EndpointSettings asked, endpoint.settings());
  const api::EndpointIPAMConfig wanted = asked.ipam_config.value_or(api::EndpointIPAMConfig{});
  for (size_t i = 0; i < row.pools.size(); ++i) {
    const PoolRow& pool = row.pools[i];
    std::string& address = pool.is_v4() ? endpoint.address : endpoint.address6;
    if (pool.pool_id.empty() || !address.empty()) continue;
    const std::string fixed = (pool.is_v4() ? wanted.ipv4_address : wanted.ipv6_address).value_or("");
    if (!fixed.empty() && row.pool_of(fixed) != &pool) continue;
    const auto given = ipam.take_address(pool, fixed, endpoint.mac, call);
    const bool has_more = i + 1 < row.pools.size() && row.pools[i + 1].is_v4() == pool.is_v4();
    if (given.code() == Code::kInternal && fixed.empty() && has_more) continue;  // that one is full
    if (!given.is_ok()) return given.status();
    address = without_prefix(*given);
    attachment.addresses.emplace_back(pool.pool_id, address);
    POUCH_RETURN_IF_ERROR(save(attachment, call));
  }
  return save(endpoint, call);
}

Status Plugs::attach(const NetworkRow& row, EndpointRow endpoint, const std::vector<EndpointRow>& siblings,
                     const api::HostConfig& host, const std::vector<PublishedPort>& ports,
                     const Call& call) const {
  if (!is_plugin_driver(row.driver)) return {};
  POUCH_ASSIGN_OR_RETURN(Attachment attachment, load(endpoint.endpoint_id));
  if (is_remote(row.driver)) return attach_remote(row, endpoint, siblings, host, attachment, call);
  POUCH_ASSIGN_OR_RETURN(attachment.cni, cni_texts(row));
  POUCH_ASSIGN_OR_RETURN(const auto held, sys::FileLock::acquire_shared(collect_lock(), call.deadline));
  attachment.is_begun = true;
  POUCH_RETURN_IF_ERROR(save(attachment, call));
  PluginFacts facts;
  POUCH_ASSIGN_OR_RETURN(api::EndpointSettings asked, endpoint.settings());
  const std::vector<std::string> link_local = link_local_of(asked);
  POUCH_RETURN_IF_ERROR(clear_default_routes(attachment.netns));
  POUCH_RETURN_IF_ERROR(
      add_cni(row, attachment, {std::move(asked), ports}, context_.root_dir(), endpoint, facts, call));
  POUCH_RETURN_IF_ERROR(add_inside(attachment, link_local));
  endpoint.plugin_json = facts.to_json();
  return save(endpoint, call);
}

Status Plugs::attach_remote(const NetworkRow& row, EndpointRow& endpoint,
                            const std::vector<EndpointRow>& siblings, const api::HostConfig& host,
                            Attachment& attachment, const Call& call) const {
  POUCH_ASSIGN_OR_RETURN(const RemoteDriver driver, RemoteDriver::open(row.driver, call));
  POUCH_ASSIGN_OR_RETURN(const api::EndpointSettings asked, endpoint.settings());
  const Json options = remote_options(asked, host);
  PluginFacts facts;
  facts.address = full_address(row, endpoint, true);
  facts.address6 = full_address(row, endpoint, false);
  attachment.is_begun = true;
  POUCH_RETURN_IF_ERROR(save(attachment, call));
  POUCH_RETURN_IF_ERROR(driver.create_endpoint(endpoint, facts, options, call));
  POUCH_ASSIGN_OR_RETURN(const JoinAnswer joined, driver.join(endpoint, attachment.netns, options, call));
  endpoint.address = without_prefix(facts.address);
  endpoint.address6 = without_prefix(facts.address6);
  facts.gateway = joined.gateway;
  facts.gateway6 = joined.gateway6;
  facts.routes = joined.routes;
  facts.wants_way_out =
      joined.has_gateway_service && joined.gateway.empty() && !row.internal &&
      std::none_of(joined.routes.begin(), joined.routes.end(),
                   [](const StaticRoute& route) { return route.destination == "0.0.0.0/0"; });
  if (!joined.prefix.empty()) endpoint.link = free_link_name(joined.prefix, siblings);
  attachment.link = endpoint.link;
  attachment.source_link = joined.source_link;
  POUCH_RETURN_IF_ERROR(save(attachment, call));
  if (!joined.source_link.empty()) {
    POUCH_RETURN_IF_ERROR(move_in(attachment, endpoint, facts, link_local_of(asked)));
  } else if (!link_local_of(asked).empty()) {
    return not_implemented("IPAMConfig.LinkLocalIPs: plugin " + quote(row.driver) +
                           " makes no link for the container");
  }
  endpoint.plugin_json = facts.to_json();
  POUCH_RETURN_IF_ERROR(save(endpoint, call));
  // Ports are published where the way out is.
  const bool leads_out = !facts.gateway.empty() || !facts.gateway6.empty();
  return leads_out ? driver.open_ports(endpoint, options, call) : Status();
}

Status Plugs::move_in(const Attachment& attachment, EndpointRow& endpoint, const PluginFacts& facts,
                      const std::vector<std::string>& link_local) const {
  POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
  POUCH_ASSIGN_OR_RETURN(const sys::Link link, links.find(attachment.source_link));
  POUCH_ASSIGN_OR_RETURN(const UniqueFd netns, sys::open_net_namespace(attachment.netns));
  POUCH_RETURN_IF_ERROR(links.move(link.index, netns.get(), attachment.link));
  NetworkLeg leg;
  leg.link = attachment.link;
  leg.address = facts.address;
  leg.address6 = facts.address6;
  leg.link_local = link_local;
  return sys::in_net_namespace(netns.get(), [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(sys::Links inside, sys::Links::open());
    POUCH_ASSIGN_OR_RETURN(const sys::Link moved, inside.find(attachment.link));
    if (endpoint.mac.empty()) {
      endpoint.mac = sys::mac_text(moved.mac);
    } else {
      POUCH_ASSIGN_OR_RETURN(const sys::MacAddress mac, sys::parse_mac(endpoint.mac));
      POUCH_RETURN_IF_ERROR(inside.set_mac(moved.index, mac));
    }
    POUCH_RETURN_IF_ERROR(configure_link(leg));
    for (const StaticRoute& route : facts.routes) {
      POUCH_ASSIGN_OR_RETURN(const sys::IpNet to, sys::IpNet::parse(route.destination));
      const auto via = sys::IpAddress::parse(route.next_hop);
      POUCH_RETURN_IF_ERROR(inside.add_route(moved.index, to, via.is_ok() ? *via : sys::IpAddress()));
    }
    return {};
  });
}

namespace {

// The plugin finds its link where it made it; gone when the namespace has ended.
Status move_out(const Attachment& attachment) {
  if (attachment.source_link.empty()) return {};
  const auto netns = sys::open_net_namespace(attachment.netns);
  if (!netns.is_ok()) return netns.code() == Code::kNotFound ? Status() : netns.status();
  POUCH_ASSIGN_OR_RETURN(const UniqueFd host, sys::open_net_namespace("/proc/thread-self/ns/net"));
  const Status moved = sys::in_net_namespace(netns->get(), [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
    POUCH_ASSIGN_OR_RETURN(const sys::Link link, links.find(attachment.link));
    return links.move(link.index, host.get(), attachment.source_link);
  });
  return moved.code() == Code::kNotFound ? Status() : moved;
}

}  // namespace

Status Plugs::undo_remote(const Attachment& attachment, const Call& call) const {
  POUCH_ASSIGN_OR_RETURN(const RemoteDriver driver, RemoteDriver::open(attachment.driver, call));
  const std::string& network = attachment.network_id;
  const std::string& endpoint = attachment.endpoint_id;
  POUCH_RETURN_IF_ERROR(unless_refused(driver.close_ports(network, endpoint, call), "close ports"));
  POUCH_RETURN_IF_ERROR(unless_refused(driver.leave(network, endpoint, call), "leave a network"));
  POUCH_RETURN_IF_ERROR(move_out(attachment));
  return unless_refused(driver.remove_endpoint(network, endpoint, call), "remove an endpoint");
}

Status Plugs::undo(const Attachment& attachment, const Call& call) const {
  if (attachment.is_begun) {
    POUCH_RETURN_IF_ERROR(attachment.driver == kCni ? remove_cni(attachment, context_.root_dir(), call)
                                                    : undo_remote(attachment, call));
  }
  if (!attachment.addresses.empty()) {
    POUCH_ASSIGN_OR_RETURN(const RemoteIpam ipam, RemoteIpam::open(attachment.ipam_driver, call));
    for (const auto& [pool, address] : attachment.addresses) {
      POUCH_RETURN_IF_ERROR(unless_refused(ipam.give_back(pool, address, call), "give back " + address));
    }
  }
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(drop_attachment(transaction, attachment.endpoint_id));
  return transaction.commit();
}

void Plugs::collect(const NetworkRow& row, const Call& call) const {
  if (row.driver != kCni) return;
  const auto collected = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const auto held, sys::FileLock::acquire(collect_lock(), call.deadline));
    std::vector<Attachment> valid;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
      POUCH_ASSIGN_OR_RETURN(valid, all_attachments(snapshot));
    }
    return collect_cni(row, valid, context_.root_dir(), call);
  }();
  if (!collected.is_ok()) log_warning("network", "GC of network " + row.name + ": " + collected.message());
}

Status Plugs::detach(const std::string& endpoint_id, const Call& call) const {
  std::optional<Attachment> attachment;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(attachment, find_attachment(snapshot, endpoint_id));
  }
  return attachment ? undo(*attachment, call) : Status();
}

// One engine at a time asks plugins about an ended endpoint. Conflict: another does.
Result<sys::FileLock> Plugs::lock(bool wait, const Call& call) const {
  const std::string path = context_.run_dir() + "/plugins.lock";
  return wait ? sys::FileLock::acquire(path, call.deadline) : sys::FileLock::try_acquire(path);
}

Status Plugs::sweep(bool wait, const Call& call) const {
  const auto ended = [this]() -> Result<std::vector<Attachment>> {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    return ended_attachments(snapshot, context_.boot_id);
  };
  {
    POUCH_ASSIGN_OR_RETURN(const auto some, ended());
    if (some.empty()) return {};
  }
  const auto held = lock(wait, call);
  if (held.code() == Code::kConflict) return {};
  if (!held.is_ok()) return held.status();
  POUCH_ASSIGN_OR_RETURN(const auto left, ended());
  Status first;
  for (const Attachment& attachment : left) {
    const Status undone = undo(attachment, call);
    if (first.is_ok()) first = undone.prefix("detach " + attachment.link + " of " + attachment.sandbox);
  }
  return first;
}

}  // namespace pouch::network
