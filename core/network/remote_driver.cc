#include "core/network/remote_driver.h"

#include "core/base/text.h"
#include "core/spec/ports.h"

namespace pouch::network {

using plugin::text;

namespace {

Json ids(const std::string& network_id, const std::string& endpoint_id) {
  Json out = json_object();
  out["NetworkID"] = network_id;
  out["EndpointID"] = endpoint_id;
  return out;
}

std::string bits_of(const PoolRow& pool) {
  return pool.subnet.substr(pool.subnet.find('/'));
}

Json pools_of_family(const NetworkRow& row, bool v4) {
  Json out = json_array();
  for (const PoolRow& pool : row.pools) {
    if (pool.is_v4() != v4) continue;
    Json each = json_object();
    each["AddressSpace"] = row.ipam_driver.empty() ? "LocalDefault" : row.ipam_driver;
    each["Pool"] = pool.subnet;
    if (!pool.gateway.empty()) each["Gateway"] = pool.gateway + bits_of(pool);
    for (const auto& [name, address] : pool.aux) each["AuxAddresses"][name] = address + bits_of(pool);
    out.append(each);
  }
  return out;
}

// A protocol's number, as libnetwork tells plugins.
int number_of(const std::string& protocol) {
  if (protocol == "udp") return 17;
  return protocol == "sctp" ? 132 : 6;
}

// What the plugin answers where it was given nothing; what it was given stays.
Status take(const Json& answer, const char* name, std::string& out) {
  const std::string said = text(answer, name);
  if (said.empty() || said == out) return {};
  if (!out.empty())
    return Status(Code::kInternal, std::string("NetworkDriver.CreateEndpoint: the plugin replaced the ") +
                                       name + " " + out + " by " + said);
  out = said;
  return {};
}

}  // namespace

Result<Json> RemoteDriver::ask(const std::string& method, const Json& request, const Call& call) const {
  return plugin::call_plugin(address_, "NetworkDriver." + method, request, call);
}

Result<RemoteDriver> RemoteDriver::open(const std::string& name, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(plugin::PluginAddress address,
                         plugin::activate_plugin({}, name, "NetworkDriver", call));
  RemoteDriver driver(std::move(address));
  const auto answer = driver.ask("GetCapabilities", json_object(), call);
  if (answer.code() == Code::kNotFound) return driver;  // before libnetwork 0.5
  if (!answer.is_ok()) return answer.status();
  const std::string scope = text(*answer, "Scope");
  if (scope.empty() || scope == "local") return driver;
  return not_implemented("Driver " + quote(name) + " has networks of scope " + quote(scope) +
                         ", which need a cluster: not supported");
}

Status RemoteDriver::create_network(const NetworkRow& row, const Call& call) const {
  Json request = json_object();
  request["NetworkID"] = row.id;
  Json& options = request["Options"] = json_object();
  options["com.docker.network.enable_ipv4"] = row.ipv4;
  options["com.docker.network.enable_ipv6"] = row.ipv6;
  if (row.internal) options["com.docker.network.internal"] = true;
  Json& generic = options["com.docker.network.generic"] = json_object();
  for (const auto& [name, value] : row.options) generic[name] = value;
  request["IPv4Data"] = pools_of_family(row, true);
  request["IPv6Data"] = pools_of_family(row, false);
  return ask("CreateNetwork", request, call).status();
}

Status RemoteDriver::remove_network(const std::string& network_id, const Call& call) const {
  Json request = json_object();
  request["NetworkID"] = network_id;
  return ask("DeleteNetwork", request, call).status();
}

Status RemoteDriver::create_endpoint(EndpointRow& endpoint, PluginFacts& facts, const Json& options,
                                     const Call& call) const {
  Json request = ids(endpoint.network_id, endpoint.endpoint_id);
  Json& given = request["Interface"] = json_object();
  given["Address"] = facts.address;
  given["AddressIPv6"] = facts.address6;
  given["MacAddress"] = endpoint.mac;
  request["Options"] = options;
  POUCH_ASSIGN_OR_RETURN(const Json answer, ask("CreateEndpoint", request, call));
  const Json& chosen = answer["Interface"];
  POUCH_RETURN_IF_ERROR(take(chosen, "Address", facts.address));
  POUCH_RETURN_IF_ERROR(take(chosen, "AddressIPv6", facts.address6));
  return take(chosen, "MacAddress", endpoint.mac);
}

Result<JoinAnswer> RemoteDriver::join(const EndpointRow& endpoint, const std::string& netns,
                                      const Json& options, const Call& call) const {
  Json request = ids(endpoint.network_id, endpoint.endpoint_id);
  request["SandboxKey"] = netns;
  request["Options"] = options;
  POUCH_ASSIGN_OR_RETURN(const Json answer, ask("Join", request, call));
  JoinAnswer out;
  out.source_link = text(answer["InterfaceName"], "SrcName");
  out.prefix = text(answer["InterfaceName"], "DstPrefix");
  out.gateway = text(answer, "Gateway");
  out.gateway6 = text(answer, "GatewayIPv6");
  const Json& disabled = answer["DisableGatewayService"];
  out.has_gateway_service = !(disabled.isBool() && disabled.asBool());
  if (!answer["StaticRoutes"].isArray()) return out;
  for (const Json& route : answer["StaticRoutes"]) {
    out.routes.push_back({text(route, "Destination"), text(route, "NextHop")});
  }
  return out;
}

Status RemoteDriver::open_ports(const EndpointRow& endpoint, const Json& options, const Call& call) const {
  Json request = ids(endpoint.network_id, endpoint.endpoint_id);
  request["Options"] = options;
  const Status asked = ask("ProgramExternalConnectivity", request, call).status();
  return asked.code() == Code::kNotFound ? Status() : asked;
}

Status RemoteDriver::close_ports(const std::string& network_id, const std::string& endpoint_id,
                                 const Call& call) const {
  const Status asked = ask("RevokeExternalConnectivity", ids(network_id, endpoint_id), call).status();
  return asked.code() == Code::kNotFound ? Status() : asked;
}

Status RemoteDriver::leave(const std::string& network_id, const std::string& endpoint_id,
                           const Call& call) const {
  return ask("Leave", ids(network_id, endpoint_id), call).status();
}

Status RemoteDriver::remove_endpoint(const std::string& network_id, const std::string& endpoint_id,
                                     const Call& call) const {
  return ask("DeleteEndpoint", ids(network_id, endpoint_id), call).status();
}

Json remote_options(const api::EndpointSettings& asked, const api::HostConfig& host) {
  Json out = json_object();
  for (const auto& [name, value] : asked.driver_opts.value_or(Texts{})) out[name] = value;
  Json& exposed = out["com.docker.network.endpoint.exposedports"] = json_array();
  Json& mapped = out["com.docker.network.portmap"] = json_array();
  const auto requests = spec::port_requests(host.port_bindings.value_or(spec::PortMap{}));
  if (!requests.is_ok()) return out;  // the container's validation has refused such
  for (const spec::PortRequest& request : *requests) {
    Json port = json_object();
    port["Proto"] = number_of(request.port.protocol);
    port["Port"] = request.port.port;
    exposed.append(port);
    port["IP"] = "";
    port["HostIP"] = request.host_address;
    port["HostPort"] = request.first;
    port["HostPortEnd"] = request.last;
    mapped.append(port);
  }
  return out;
}

}  // namespace pouch::network
