#include "core/network/cni_network.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <tuple>

#include "core/base/text.h"
#include "core/cni/network_list.h"
#include "core/cni/runtime.h"
#include "core/sys/net_namespace.h"

namespace pouch::network {
namespace {

constexpr const char* kListOption = "cni.list";
constexpr const char* kFolderOption = "cni.conf_dir";
constexpr const char* kPluginsOption = "cni.bin_dir";
constexpr const char* kOwnOption = "cni.gc";
constexpr const char* kDefaultFolder = "/etc/cni/net.d";
constexpr const char* kDefaultPlugins = "/opt/cni/bin:/usr/lib/cni";

Result<cni::NetworkList> load(const CniPlace& place) {
  return place.list.starts_with('/') ? cni::load_list(place.list) : cni::find_list(place.folder, place.list);
}

cni::Runtime runtime(const CniPlace& place, const std::string& root_dir) {
  return {split(place.plugins, ':'), root_dir + "/cni"};
}

cni::Attachment cni_attachment(const Attachment& attachment) {
  cni::Attachment out;
  // One run of a container, or a later one would meet what an earlier one has left.
  out.container_id = attachment.sandbox;
  out.netns = attachment.netns;
  out.ifname = attachment.link;
  return out;
}

// Each once: of a port for all addresses there are two rows, one for each family.
Json port_mappings(const std::vector<PublishedPort>& ports) {
  std::set<std::tuple<std::string, std::string, int, int>> seen;
  Json out = json_array();
  for (const PublishedPort& port : ports) {
    const bool any = port.host_address == "0.0.0.0" || port.host_address == "::";
    const std::string host = any ? std::string() : port.host_address;
    if (!seen.emplace(port.protocol, host, port.host_port, port.port).second) continue;
    Json each = json_object();
    each["hostPort"] = port.host_port;
    each["containerPort"] = port.port;
    each["protocol"] = port.protocol;
    if (!any) each["hostIP"] = host;
    out.append(each);
  }
  return out;
}

Status put(const cni::NetworkList& list, const char* capability, const char* field, Json value, Json& out) {
  if (!list.has_capability(capability)) {
    return not_implemented(std::string(field) + ": no plugin of the CNI network " + quote(list.name) +
                           " takes it (capability \"" + capability + "\")");
  }
  out[capability] = std::move(value);
  return {};
}

Result<Json> capabilities_of(const cni::NetworkList& list, const CniWishes& wishes) {
  Json out = json_object();
  const api::EndpointIPAMConfig ipam = wishes.asked.ipam_config.value_or(api::EndpointIPAMConfig{});
  Json addresses = json_array();
  for (const auto& address : {ipam.ipv4_address, ipam.ipv6_address}) {
    if (!address.value_or("").empty()) addresses.append(*address);
  }
  if (!addresses.empty()) {
    POUCH_RETURN_IF_ERROR(put(list, "ips", "IPAMConfig", std::move(addresses), out));
  }
  if (const std::string mac = wishes.asked.mac_address.value_or(""); !mac.empty()) {
    POUCH_RETURN_IF_ERROR(put(list, "mac", "MacAddress", mac, out));
  }
  if (!wishes.ports.empty()) {
    POUCH_RETURN_IF_ERROR(
        put(list, "portMappings", "HostConfig.PortBindings", port_mappings(wishes.ports), out));
  }
  // The engine's name server knows them too.
  if (wishes.asked.aliases && list.has_capability("aliases")) {
    out["aliases"] = json_object();
    for (const std::string& alias : *wishes.asked.aliases) out["aliases"][list.name].append(alias);
  }
  return out;
}

CniPlace place_of(const Texts& texts) {
  const auto text = [&texts](const char* name) {
    const auto at = texts.find(name);
    return at == texts.end() ? std::string() : at->second;
  };
  return {text("list"), text("folder"), text("plugins"), text("name"), false};
}

bool is_v4(const std::string& address) {
  return address.find(':') == std::string::npos;
}

bool has_default_route(const cni::Outcome& outcome, bool v4) {
  return std::any_of(outcome.routes.begin(), outcome.routes.end(), [v4](const cni::Route& route) {
    return is_v4(route.dst) == v4 && (route.dst == "0.0.0.0/0" || route.dst == "::/0");
  });
}

void read_outcome(const cni::Outcome& outcome, EndpointRow& endpoint, PluginFacts& facts) {
  for (const cni::Ip& ip : outcome.container_ips()) {
    const bool v4 = is_v4(ip.address);
    std::string& full = v4 ? facts.address : facts.address6;
    if (!full.empty()) continue;  // one of each family is shown
    full = ip.address;
    (v4 ? endpoint.address : endpoint.address6) = without_prefix(ip.address);
    if (has_default_route(outcome, v4)) (v4 ? facts.gateway : facts.gateway6) = ip.gateway;
  }
  facts.name_servers = outcome.dns.nameservers;
  facts.search = outcome.dns.search;
  if (facts.search.empty() && !outcome.dns.domain.empty()) facts.search = {outcome.dns.domain};
  if (const cni::Interface* link = outcome.container_interface(endpoint.link)) endpoint.mac = link->mac;
}

}  // namespace

Result<Texts> cni_texts(const NetworkRow& row) {
  POUCH_ASSIGN_OR_RETURN(const CniPlace place, cni_place(row));
  POUCH_ASSIGN_OR_RETURN(const cni::NetworkList list, load(place));
  return Texts{
      {"list", place.list}, {"folder", place.folder}, {"plugins", place.plugins}, {"name", list.name}};
}

Result<CniPlace> cni_place(const NetworkRow& row) {
  CniPlace place{row.name, kDefaultFolder, kDefaultPlugins, {}, false};
  for (const auto& [name, value] : row.options) {
    if (value.empty()) continue;
    if (name == kListOption) {
      place.list = value;
    } else if (name == kFolderOption) {
      place.folder = value;
    } else if (name == kPluginsOption) {
      place.plugins = value;
    } else if (name == kOwnOption && (value == "true" || value == "false")) {
      place.is_own = value == "true";
    } else if (name == kOwnOption) {
      return invalid_argument("Options " + name + ": " + quote(value) + " is neither true nor false");
    } else {
      return invalid_argument("Options " + quote(name) + " is none of driver cni: " + kListOption + ", " +
                              kFolderOption + ", " + kPluginsOption + ", " + kOwnOption);
    }
  }
  return place;
}

Status check_cni(const NetworkRow& row, const std::string& root_dir, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const CniPlace place, cni_place(row));
  POUCH_ASSIGN_OR_RETURN(const cni::NetworkList list, load(place));
  return runtime(place, root_dir).status(list, call);
}

Result<bool> can_publish(const NetworkRow& row) {
  POUCH_ASSIGN_OR_RETURN(const CniPlace place, cni_place(row));
  POUCH_ASSIGN_OR_RETURN(const cni::NetworkList list, load(place));
  return list.has_capability("portMappings");
}

Status add_cni(const NetworkRow& row, const Attachment& attachment, const CniWishes& wishes,
               const std::string& root_dir, EndpointRow& endpoint, PluginFacts& facts, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const CniPlace place, cni_place(row));
  POUCH_ASSIGN_OR_RETURN(const cni::NetworkList list, load(place));
  cni::Attachment wanted = cni_attachment(attachment);
  POUCH_ASSIGN_OR_RETURN(wanted.capabilities, capabilities_of(list, wishes));
  wanted.args["IgnoreUnknown"] = "1";
  for (const auto& [name, value] : wishes.asked.driver_opts.value_or(Texts{})) wanted.args[name] = value;
  POUCH_ASSIGN_OR_RETURN(const cni::Outcome outcome, runtime(place, root_dir).add(list, wanted, call));
  read_outcome(outcome, endpoint, facts);
  return {};
}

Status remove_cni(const Attachment& attachment, const std::string& root_dir, const Call& call) {
  const CniPlace place = place_of(attachment.cni);
  cni::Attachment gone = cni_attachment(attachment);
  if (!sys::open_net_namespace(gone.netns).is_ok()) gone.netns.clear();
  const auto list = load(place);
  cni::Runtime plugins = runtime(place, root_dir);
  // The cache has the list as it was; by its name where that is known.
  return list.is_ok() ? plugins.del(*list, gone, call) : plugins.del(place.name, gone, call);
}

Status check_attachment(const Attachment& attachment, const std::string& root_dir, const Call& call) {
  const CniPlace place = place_of(attachment.cni);
  POUCH_ASSIGN_OR_RETURN(const cni::NetworkList list, load(place));
  return runtime(place, root_dir).check(list, cni_attachment(attachment), call);
}

Status collect_cni(const NetworkRow& row, const std::vector<Attachment>& valid, const std::string& root_dir,
                   const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const CniPlace place, cni_place(row));
  if (!place.is_own) return {};
  POUCH_ASSIGN_OR_RETURN(const cni::NetworkList list, load(place));
  std::vector<cni::AttachmentKey> keys;
  for (const Attachment& attachment : valid) {
    const bool is_of_list = attachment.driver == kCni && place_of(attachment.cni).name == list.name;
    if (is_of_list) keys.emplace_back(attachment.sandbox, attachment.link);
  }
  return runtime(place, root_dir).gc(list, keys, call);
}

}  // namespace pouch::network
