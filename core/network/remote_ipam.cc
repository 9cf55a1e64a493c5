#include "core/network/remote_ipam.h"

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/network/plugged.h"
#include "core/sys/ip_net.h"

namespace pouch::network {

using plugin::text;

namespace {

constexpr const char* kGatewayType = "com.docker.network.gateway";

Json to_json(const Texts& texts) {
  Json out = json_object();
  for (const auto& [name, value] : texts) out[name] = value;
  return out;
}

Json gateway_request() {
  Json out = json_object();
  out["RequestAddressType"] = kGatewayType;
  return out;
}

void keep_first(Status& first, const Status& status) {
  if (first.is_ok()) first = status;
}

// What it says of an address that it does not know, or had not given, is of no weight.
Status unless_refused(const Status& status) {
  return status.code() == Code::kInternal ? Status() : status;
}

}  // namespace

Result<Json> RemoteIpam::ask(const std::string& method, const Json& request, const Call& call) const {
  return plugin::call_plugin(address_, "IpamDriver." + method, request, call);
}

Result<RemoteIpam> RemoteIpam::open(const std::string& name, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(plugin::PluginAddress address,
                         plugin::activate_plugin({}, name, "IpamDriver", call));
  RemoteIpam ipam(std::move(address));
  // Optional: plugins of before do not know it.
  const auto can = ipam.ask("GetCapabilities", json_object(), call);
  if (!can.is_ok() && can.code() != Code::kNotFound) return can.status();
  if (can.is_ok()) ipam.wants_mac_ = can->get("RequiresMACAddress", false).asBool();
  POUCH_ASSIGN_OR_RETURN(const Json spaces, ipam.ask("GetDefaultAddressSpaces", json_object(), call));
  ipam.space_ = text(spaces, "LocalDefaultAddressSpace");
  return ipam;
}

Result<std::string> RemoteIpam::request_address(const std::string& pool_id, const std::string& wanted,
                                                const Json& options, const Call& call) const {
  Json request = json_object();
  request["PoolID"] = pool_id;
  request["Address"] = wanted;
  request["Options"] = options;
  POUCH_ASSIGN_OR_RETURN(const Json answer, ask("RequestAddress", request, call));
  std::string address = text(answer, "Address");
  const auto net = sys::IpNet::parse(address);
  if (net.is_ok() && address.find('/') != std::string::npos) return address;
  return Status(Code::kInternal, "IpamDriver.RequestAddress: bad address " + quote(address));
}

Status RemoteIpam::take_pool(PoolRow& pool, bool v4, const NetworkRow& row, const Call& call) const {
  Json request = json_object();
  request["AddressSpace"] = space_;
  request["Pool"] = pool.subnet;
  request["SubPool"] = pool.ip_range;
  request["Options"] = to_json(row.ipam_options.value_or(Texts{}));
  request["V6"] = !v4;
  POUCH_ASSIGN_OR_RETURN(const Json answer, ask("RequestPool", request, call));
  pool.pool_id = text(answer, "PoolID");
  const auto subnet = sys::IpNet::parse(text(answer, "Pool"));
  if (pool.pool_id.empty() || !subnet.is_ok() || subnet->address.is_v4() != v4) {
    return Status(Code::kInternal, "IpamDriver.RequestPool: bad pool " + quote(text(answer, "Pool")));
  }
  pool.subnet = sys::IpNet{subnet->first(), subnet->prefix}.to_string();
  for (const auto& [name, address] : pool.aux) {
    POUCH_RETURN_IF_ERROR(request_address(pool.pool_id, address, json_object(), call)
                              .status()
                              .prefix("auxiliary address " + name));
  }
  // The plugin may have one for it, which is nobody's to ask for then.
  std::string gateway = text(answer["Data"], kGatewayType);
  if (gateway.empty()) {
    POUCH_ASSIGN_OR_RETURN(gateway, request_address(pool.pool_id, pool.gateway, gateway_request(), call));
  }
  pool.gateway = without_prefix(gateway);
  return {};
}

Status RemoteIpam::take_pools(NetworkRow& row, const Call& call) const {
  if (row.ipv4 && row.pool(true) == nullptr) row.pools.insert(row.pools.begin(), PoolRow{});
  const size_t asked = row.pools.size();
  if (row.ipv6 && row.pool(false) == nullptr) row.pools.emplace_back();
  for (size_t i = 0; i < row.pools.size(); ++i) {
    PoolRow& pool = row.pools[i];
    const bool v4 = i < asked && pool.is_v4();
    const Status taken = take_pool(pool, v4, row, call);
    if (taken.is_ok()) continue;
    const Status undone = give_back_pools(row, call);
    if (!undone.is_ok()) log_warning("network", "give back what an IPAM plugin gave: " + undone.message());
    return taken;
  }
  return {};
}

Status RemoteIpam::give_back_pools(const NetworkRow& row, const Call& call) const {
  Status first;
  for (const PoolRow& pool : row.pools) {
    if (pool.pool_id.empty()) continue;
    for (const auto& [name, address] : pool.aux)
      keep_first(first, unless_refused(give_back(pool.pool_id, address, call)));
    if (!pool.gateway.empty()) keep_first(first, unless_refused(give_back(pool.pool_id, pool.gateway, call)));
    Json request = json_object();
    request["PoolID"] = pool.pool_id;
    keep_first(first, ask("ReleasePool", request, call).status());
  }
  return first;
}

Result<std::string> RemoteIpam::take_address(const PoolRow& pool, const std::string& wanted,
                                             const std::string& mac, const Call& call) const {
  Json options = json_object();
  if (wants_mac_) options["com.docker.network.endpoint.macaddress"] = mac;
  return request_address(pool.pool_id, wanted, options, call);
}

Status RemoteIpam::give_back(const std::string& pool_id, const std::string& address, const Call& call) const {
  Json request = json_object();
  request["PoolID"] = pool_id;
  request["Address"] = without_prefix(address);
  return ask("ReleaseAddress", request, call).status();
}

}  // namespace pouch::network
