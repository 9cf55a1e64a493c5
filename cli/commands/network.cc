#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/flag_values.h"
#include "cli/format/listing.h"
#include "cli/prompt.h"
#include "cli/time_value.h"

namespace pouch::cli {
namespace {

// What `network create` says of the subnets: lists that belong together by the subnet they are in.
struct CreateFlags {
  Json::Value config{Json::objectValue};
  Words subnets;
  Words ranges;
  Words gateways;
  Words aux;
  std::string ipam_driver = "default";
  std::string driver = "bridge";
  std::string scope;
  std::string config_from;
  std::optional<std::string> ipv4;
  bool ipv6 = false;
  bool internal = false;
  bool attachable = false;
  bool ingress = false;
  bool config_only = false;
};

bool is_ipv6(const std::string& text) {
  return text.find(':') != std::string::npos;
}

uint32_t number_of(const std::string& address) {
  uint32_t value = 0;
  uint32_t part = 0;
  for (const char c : address + ".") {
    if (c == '.') {
      value = (value << 8) | (part & 0xff);
      part = 0;
    } else if (c >= '0' && c <= '9') {
      part = part * 10 + static_cast<uint32_t>(c - '0');
    }
  }
  return value;
}

// Whether the address, or the range's first one, lies in the IPv4 subnet. IPv6 by what is written before
// "::".
bool is_inside(const std::string& subnet, const std::string& text) {
  const size_t slash = subnet.find('/');
  const std::string address = text.substr(0, text.find('/'));
  if (slash == std::string::npos || is_ipv6(subnet) != is_ipv6(address)) return false;
  if (is_ipv6(subnet)) return address.starts_with(subnet.substr(0, subnet.find("::")));
  const int prefix = std::clamp(std::atoi(subnet.c_str() + slash + 1), 0, 32);
  const uint32_t mask = prefix == 0 ? 0 : ~uint32_t{0} << (32 - prefix);
  return (number_of(subnet.substr(0, slash)) & mask) == (number_of(address) & mask);
}

Json::Value& pool_for(Json::Value& pools, const std::string& text, const char* what) {
  for (Json::Value& pool : pools) {
    if (is_inside(pool["Subnet"].asString(), text)) return pool;
  }
  throw Exit(kExitError, std::string("no matching subnet for ") + what + " " + text);
}

Json::Value ipam_of(const CreateFlags& flags) {
  Json::Value pools(Json::arrayValue);
  for (const std::string& subnet : flags.subnets) pools.append(Json::objectValue)["Subnet"] = subnet;
  const bool lacks_subnet = flags.subnets.empty() && (!flags.ranges.empty() || !flags.gateways.empty());
  if (lacks_subnet) {
    throw Exit(kExitError, "every ip-range or gateway must have a corresponding subnet");
  }
  for (const std::string& range : flags.ranges) pool_for(pools, range, "range")["IPRange"] = range;
  for (const std::string& gateway : flags.gateways) pool_for(pools, gateway, "gateway")["Gateway"] = gateway;
  for (const std::string& entry : flags.aux) {
    const auto [name, address] = parse_pair(entry);
    pool_for(pools, address, "aux-address")["AuxiliaryAddresses"][name] = address;
  }
  return pools;
}

void declare_pairs(Options& options, const std::string& names, Json::Value& document, const char* key,
                   const std::string& help) {
  options.value(names, "list", help, [&document, key](const std::string& text) {
    const auto [name, value] = parse_pair(text);
    document[key][name] = value;
  });
}

void declare_create(Options& options, CreateFlags& flags) {
  options.flag("--attachable", &flags.attachable, "Enable manual container attachment");
  options.list("--aux-address", &flags.aux, "Auxiliary IPv4 or IPv6 addresses used by Network driver");
  options.text("--config-from", &flags.config_from, "string",
               "The network from which to copy the configuration");
  options.flag("--config-only", &flags.config_only, "Create a configuration only network");
  options.text("-d, --driver", &flags.driver, "string", "Driver to manage the Network");
  options.list("--gateway", &flags.gateways, "IPv4 or IPv6 Gateway for the master subnet");
  options.flag("--ingress", &flags.ingress, "Create swarm routing-mesh network");
  options.flag("--internal", &flags.internal, "Restrict external access to the network");
  options.list("--ip-range", &flags.ranges, "Allocate container ip from a sub-range");
  options.text("--ipam-driver", &flags.ipam_driver, "string", "IP Address Management Driver");
  declare_pairs(options, "--ipam-opt", flags.config["IPAM"], "Options", "Set IPAM driver specific options");
  options.given_text("--ipv4", &flags.ipv4, "bool", "Enable or disable IPv4 address assignment");
  options.flag("--ipv6", &flags.ipv6, "Enable or disable IPv6 address assignment");
  options.value("--label", "list", "Set metadata on a network", [&flags](const std::string& text) {
    const auto [name, value] = parse_pair(text);
    flags.config["Labels"][name] = value;
  });
  declare_pairs(options, "-o, --opt", flags.config, "Options", "Set driver specific options");
  options.text("--scope", &flags.scope, "string", "Control the network's scope");
  options.list("--subnet", &flags.subnets, "Subnet in CIDR format that represents a network segment");
}

Json::Value create_config(CreateFlags& flags, const std::string& name) {
  Json::Value& config = flags.config;
  config["Name"] = name;
  config["Driver"] = flags.driver;
  config["IPAM"]["Driver"] = flags.ipam_driver;
  config["IPAM"]["Config"] = ipam_of(flags);
  if (!flags.scope.empty()) config["Scope"] = flags.scope;
  if (!flags.config_from.empty()) config["ConfigFrom"]["Network"] = flags.config_from;
  if (flags.ipv4) config["EnableIPv4"] = *flags.ipv4 == "true" || *flags.ipv4 == "1";
  for (const auto& [key, value] :
       {std::pair("EnableIPv6", flags.ipv6), std::pair("Internal", flags.internal),
        std::pair("Attachable", flags.attachable), std::pair("Ingress", flags.ingress),
        std::pair("ConfigOnly", flags.config_only)}) {
    if (value) config[key] = true;
  }
  return config;
}

std::string labels_text(const Json::Value& labels) {
  std::string out;
  for (const std::string& name : labels.getMemberNames()) {
    out += (out.empty() ? "" : ",") + name + "=" + labels[name].asString();
  }
  return out;
}

Row row_of(const Json::Value& network, bool truncate) {
  Row row;
  Json::Value& fields = row.fields;
  const std::string id = network["Id"].asString();
  fields["ID"] = truncate ? id.substr(0, 12) : id;
  fields["Name"] = network["Name"];
  fields["Driver"] = network["Driver"];
  fields["Scope"] = network["Scope"];
  fields["IPv4"] = network["EnableIPv4"].asBool() ? "true" : "false";
  fields["IPv6"] = network["EnableIPv6"].asBool() ? "true" : "false";
  fields["Internal"] = network["Internal"].asBool() ? "true" : "false";
  fields["Labels"] = labels_text(network["Labels"]);
  fields["CreatedAt"] = network["Created"];
  const Json::Value& labels = network["Labels"];
  row.methods["Label"] = [labels](const std::vector<Json::Value>& arguments) {
    return arguments.empty() ? Json::Value("") : labels.get(arguments.front().asString(), "");
  };
  return row;
}

Row headers() {
  Row row;
  const std::pair<const char*, const char*> titles[] = {
      {"ID", "NETWORK ID"},     {"Name", "NAME"},     {"Driver", "DRIVER"},
      {"Scope", "SCOPE"},       {"IPv4", "IPV4"},     {"IPv6", "IPV6"},
      {"Internal", "INTERNAL"}, {"Labels", "LABELS"}, {"CreatedAt", "CREATED AT"}};
  for (const auto& [field, title] : titles) row.fields[field] = title;
  return row;
}

}  // namespace

int network_create_command(Context& context, const Invocation& invocation) {
  CreateFlags flags;
  Options options(invocation.command, "NETWORK", "Create a network", {1, 1});
  declare_create(options, flags);
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  const Json::Value config = create_config(flags, arguments->front());
  const Json::Value made =
      context.client().call("network.create", {}, Json::Value(Json::objectValue), config);
  if (!made["Warning"].asString().empty()) {
    context.console().err_line("WARNING: " + sanitised(made["Warning"].asString()));
  }
  context.console().out_line(made["Id"].asString());
  return 0;
}

int network_ls_command(Context& context, const Invocation& invocation) {
  bool no_truncate = false;
  bool quiet = false;
  std::string format;
  Json::Value filters(Json::objectValue);
  Options options(invocation.command, "", "List networks", {0, 0});
  declare_filter(options, &filters);
  options.text("--format", &format, "string", "'table', 'table TEMPLATE', 'json' or a Go template");
  options.flag("--no-trunc", &no_truncate, "Do not truncate the output");
  options.flag("-q, --quiet", &quiet, "Only display network IDs");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  const Listing listing = quiet ? Listing("{{.ID}}", "", headers())
                                : Listing(format, "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}", headers());
  Json::Value list(Json::objectValue);
  if (!filters.empty()) list["filters"] = filters;
  std::vector<Row> rows;
  for (const Json::Value& network : context.client().call("network.list", {}, list)) {
    rows.push_back(row_of(network, !no_truncate));
  }
  context.console().out(listing.render(std::move(rows)));
  return 0;
}

int network_rm_command(Context& context, const Invocation& invocation) {
  bool force = false;
  Options options(invocation.command, "NETWORK [NETWORK...]", "Remove one or more networks", {.least = 1});
  options.flag("-f, --force", &force, "Do not error if the network does not exist");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  bool failed = false;
  for_each_name(context, *names, [&](const std::string& name) {
    try {
      context.client().call("network.remove", {name});
    } catch (const ApiError& error) {
      if (force && error.status() == POUCH_ERR_NOT_FOUND) return name;
      failed = true;
      throw;
    }
    return name;
  });
  return failed ? kExitError : 0;
}

int network_connect_command(Context& context, const Invocation& invocation) {
  Json::Value endpoint(Json::objectValue);
  Words aliases;
  Words links;
  Words link_local;
  std::string ip;
  std::string ip6;
  std::optional<int64_t> priority;
  Options options(invocation.command, "NETWORK CONTAINER", "Connect a container to a network", {2, 2});
  options.list("--alias", &aliases, "Add network-scoped alias for the container");
  declare_pairs(options, "--driver-opt", endpoint, "DriverOpts", "driver options for the network");
  options.integer("--gw-priority", &priority, "Highest gw-priority provides the default gateway");
  options.text("--ip", &ip, "string", "IPv4 address (e.g., \"172.30.100.104\")");
  options.text("--ip6", &ip6, "string", "IPv6 address (e.g., \"2001:db8::33\")");
  options.list("--link", &links, "Add link to another container");
  options.list("--link-local-ip", &link_local, "Add a link-local address for the container");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  for (const std::string& alias : aliases) endpoint["Aliases"].append(alias);
  for (const std::string& link : links) endpoint["Links"].append(link);
  for (const std::string& address : link_local) endpoint["IPAMConfig"]["LinkLocalIPs"].append(address);
  if (!ip.empty()) endpoint["IPAMConfig"]["IPv4Address"] = ip;
  if (!ip6.empty()) endpoint["IPAMConfig"]["IPv6Address"] = ip6;
  if (priority) endpoint["GwPriority"] = Json::Int64(*priority);
  Json::Value config;
  config["Container"] = names->back();
  config["EndpointConfig"] = endpoint;
  context.client().call("network.connect", {names->front()}, Json::Value(Json::objectValue), config);
  return 0;
}

int network_disconnect_command(Context& context, const Invocation& invocation) {
  bool force = false;
  Options options(invocation.command, "NETWORK CONTAINER", "Disconnect a container from a network", {2, 2});
  options.flag("-f, --force", &force, "Force the container to disconnect from a network");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value config;
  config["Container"] = names->back();
  if (force) config["Force"] = true;
  context.client().call("network.disconnect", {names->front()}, Json::Value(Json::objectValue), config);
  return 0;
}

int network_prune_command(Context& context, const Invocation& invocation) {
  bool force = false;
  Json::Value filters(Json::objectValue);
  Options options(invocation.command, "", "Remove all unused networks", {0, 0});
  declare_filter(options, &filters, "--filter");
  options.flag("-f, --force", &force, "Do not prompt for confirmation");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  const char* const warning =
      "WARNING! This will remove all custom networks not used by at least one container.";
  if (!force && !confirm(context.console(), warning))
    throw Exit(kExitError, "network prune has been cancelled");
  Json::Value prune(Json::objectValue);
  if (!filters.empty()) prune["filters"] = filters;
  const Json::Value result = context.client().call("network.prune", {}, prune);
  std::string text;
  for (const Json::Value& name : result["NetworksDeleted"]) text += sanitised(name.asString()) + "\n";
  if (!text.empty()) context.console().out("Deleted Networks:\n" + text + "\n");
  return 0;
}

}  // namespace pouch::cli
