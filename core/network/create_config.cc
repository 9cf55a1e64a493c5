#include "core/network/create_config.h"

#include <algorithm>

#include "core/base/id.h"
#include "core/base/text.h"
#include "core/network/bridges.h"
#include "core/network/cni_network.h"
#include "core/network/ipam.h"
#include "core/network/mode.h"
#include "core/network/options.h"
#include "core/network/plugged.h"
#include "core/network/sub_links.h"
#include "core/network/subnets.h"
#include "core/sys/bridge_firewall.h"
#include "core/sys/ip_net.h"

namespace pouch::network {
namespace {

// As Docker: its name is the start of a route, of a column, of a reference.
Status check_name(const std::string& name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.empty()) return invalid_argument("network name must not be empty");
  const bool good = is_word(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
                      return is_word(c) || c == '_' || c == '.' || c == '-';
                    });
  if (good) return {};
  return invalid_argument("invalid name: " + quote(name) +
                          " includes invalid characters, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed");
}

Status check_kind(const api::NetworkCreateConfig& config) {
  const std::string driver = config.driver.value_or("");
  if (config.ingress.value_or(false)) return not_implemented("Ingress is not supported: there is no swarm");
  const std::string scope = config.scope.value_or("");
  if (!scope.empty() && scope != "local") {
    return not_implemented("Scope " + quote(scope) + " is not supported: use \"local\"");
  }
  if (driver == "host" || driver == "null") {
    return {Code::kPermissionDenied, "only one instance of \"" + driver + "\" network is allowed"};
  }
  if (driver == "overlay") return not_implemented("Driver \"overlay\" is not supported: there is no swarm");
  if (driver != kCni) return {};
  // Its plugins say all that of what they make.
  const api::IPAMRequest ipam = config.ipam.value_or(api::IPAMRequest{});
  const bool has_pools = ipam.config && !ipam.config->empty();
  const bool has_ipam =
      !ipam.driver.value_or("default").empty() && ipam.driver.value_or("default") != "default";
  for (const auto& [is_set, name] : {std::pair(has_pools, "IPAM.Config"), std::pair(has_ipam, "IPAM.Driver"),
                                     std::pair(config.internal.value_or(false), "Internal"),
                                     std::pair(config.enable_ipv6.value_or(false), "EnableIPv6")}) {
    if (is_set)
      return not_implemented(std::string(name) + " is not supported with driver cni: its list says it");
  }
  return {};
}

Status forbidden(const std::string& text) {
  return {Code::kPermissionDenied, text};
}

Status check_configuration(const api::NetworkCreateConfig& config) {
  const bool is_based = config.config_from && !config.config_from->network.empty();
  if (config.config_only.value_or(false)) {
    if (config.internal.value_or(false) || config.attachable.value_or(false) ||
        config.ingress.value_or(false) || !config.scope.value_or("").empty()) {
      return forbidden(
          "configuration network can only contain network specific fields. Network operator fields like "
          "[ ingress | internal | attachable | scope ] are not supported.");
    }
    if (is_based) return forbidden("a configuration network cannot depend on another configuration network");
  }
  if (!is_based) return {};
  const api::IPAMRequest ipam = config.ipam.value_or(api::IPAMRequest{});
  const std::string ipam_driver = ipam.driver.value_or("default");
  const bool has_own = (!ipam_driver.empty() && ipam_driver != "default") ||
                       !config.enable_ipv4.value_or(true) || config.enable_ipv6.value_or(false) ||
                       (config.labels && !config.labels->empty()) ||
                       (ipam.options && !ipam.options->empty()) || (ipam.config && !ipam.config->empty());
  if (has_own) {
    return forbidden(
        "user specified configurations are not supported if the network depends on a configuration network");
  }
  if (config.options && !config.options->empty()) {
    return forbidden(
        "network driver options are not supported if the network depends on a configuration network");
  }
  return {};
}

// What a network takes over from its configuration.
void apply(const NetworkRow& base, NetworkRow& row) {
  row.config_from = base.name;
  row.options = base.options;
  row.labels = base.labels;
  row.ipam_driver = base.ipam_driver;
  row.ipam_options = base.ipam_options;
  row.ipv4 = base.ipv4;
  row.ipv6 = base.ipv6;
  row.pools = base.pools;
  if (!row.ipam_driver.empty()) return;
  for (PoolRow& pool : row.pools) {
    const auto subnet = sys::IpNet::parse(pool.subnet);
    if (pool.gateway.empty() && subnet.is_ok()) pool.gateway = gateway_of(*subnet).to_string();
  }
}

Status check_ways(const NetworkRow& row, const BridgeOptions& options) {
  const bool is_isolated = options.mode4 == GatewayMode::kIsolated || options.mode6 == GatewayMode::kIsolated;
  if (is_isolated && !row.internal) {
    return invalid_argument("gateway mode 'isolated' can only be used for an internal network");
  }
  const bool has_source = !options.source4.empty() || !options.source6.empty();
  if (!has_source || sys::BridgeFirewall::can_choose_sources()) return {};
  return not_implemented(std::string("Options com.docker.network.host_ipv") +
                         (options.source4.empty() ? "6" : "4") + " is not supported before Linux 5.7");
}

// The link of the host that it has, or will have.
Status choose_link(NetworkRow& row, const std::string& root_id) {
  POUCH_ASSIGN_OR_RETURN(const BridgeOptions options, bridge_options(row.options));
  if (is_plugin_driver(row.driver)) return row.driver == kCni ? cni_place(row).status() : Status();
  if (has_sub_links(row.driver)) {
    POUCH_ASSIGN_OR_RETURN(sys::Links links, sys::Links::open());
    return choose_device(row, root_id, links);
  }
  row.device = options.device.empty() ? bridge_name(root_id, row.id) : options.device;
  return check_ways(row, options);
}

}  // namespace

bool is_predefined(const std::string& name) {
  return name == kBridgeName || name == "host" || name == "none" || name == "default";
}

Result<NetworkRow> row_of(const api::NetworkCreateConfig& config, const NetworkRow* base,
                          const std::string& root_id) {
  NetworkRow row;
  row.name = config.name.value_or("");
  if (is_predefined(row.name)) {
    return Status(Code::kPermissionDenied,
                  "operation is not permitted on predefined " + row.name + " network");
  }
  POUCH_RETURN_IF_ERROR(check_name(row.name));
  POUCH_RETURN_IF_ERROR(check_configuration(config));
  POUCH_RETURN_IF_ERROR(check_kind(config));
  row.id = new_object_id();
  const std::string driver = config.driver.value_or("");
  row.driver = driver.empty() || driver == "default" ? "bridge" : driver;
  const std::string ipam_driver = config.ipam ? config.ipam->driver.value_or("") : "";
  row.ipam_driver = ipam_driver == "default" ? "" : ipam_driver;
  row.state = state::kCreating;
  row.options = config.options.value_or(Texts{});
  row.labels = config.labels.value_or(Texts{});
  if (config.ipam) row.ipam_options = config.ipam->options;
  row.internal = config.internal.value_or(false);
  row.attachable = config.attachable.value_or(false);
  row.ipv4 = config.enable_ipv4.value_or(true);
  row.ipv6 = config.enable_ipv6.value_or(false);
  row.created = Timestamp::now();
  if (!row.ipv4 && !row.ipv6) return invalid_argument("IPv4 or IPv6 must be enabled");
  POUCH_ASSIGN_OR_RETURN(row.pools, pools_of(config));
  row.config_only = config.config_only.value_or(false);
  if (row.config_only) {
    row.driver = "null";
    return row;
  }
  if (base != nullptr) apply(*base, row);
  POUCH_RETURN_IF_ERROR(choose_link(row, root_id));
  return row;
}

}  // namespace pouch::network
