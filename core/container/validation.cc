#include "core/container/validation.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "core/api/console_size.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/container/signals.h"
#include "core/spec/oci_spec.h"
#include "core/spec/ports.h"
#include "core/spec/security.h"
#include "core/sys/ip_net.h"

namespace pouch::container {
namespace {

constexpr size_t kMaxHostName = 64;  // __NEW_UTS_LEN
constexpr int64_t kDefaultShmSize = 64 << 20;

template <class T>
bool has(const std::optional<T>& value) {
  return value && !value->empty();
}

Status unsupported(const std::string& option) {
  return not_implemented(option + " is not supported yet");
}

Status check_exposed(const api::ContainerCreateConfig& request) {
  for (const auto& [port, empty] : request.exposed_ports.value_or(std::map<std::string, api::Empty>{})) {
    POUCH_RETURN_IF_ERROR(spec::parse_container_port(port).status());
  }
  return {};
}

Status check_environment(const std::optional<std::vector<std::string>>& env, const char* where) {
  if (!env) return {};
  for (const std::string& entry : *env) {
    if (entry.empty() || entry.front() == '=') {
      return invalid_argument(std::string("invalid environment variable: ") + quote(entry));
    }
    if (entry.find('\0') != std::string::npos) {
      return invalid_argument(std::string(where) + ": a variable holds a NUL byte");
    }
  }
  return {};
}

Status check_health(const std::optional<api::HealthConfig>& health) {
  if (!health || !has(health->test)) return {};
  const std::string& kind = health->test->front();
  if (kind.empty() || kind == "NONE") return {};
  return unsupported("Healthcheck");
}

Status check_config(const api::ContainerConfig& config) {
  for (const auto& [path, empty] : config.volumes.value_or(std::map<std::string, api::Empty>{})) {
    if (spec::clean_path("/" + path) != "/") continue;
    return invalid_argument("invalid volume specification: '" + path +
                            "': invalid specification: destination can't be '/'");
  }
  if (config.network_disabled.value_or(false)) {
    return not_implemented("NetworkDisabled is not supported: use HostConfig.NetworkMode \"none\"");
  }
  if (config.args_escaped.value_or(false)) return invalid_argument("ArgsEscaped is only for Windows");
  POUCH_RETURN_IF_ERROR(check_environment(config.env, "Env"));
  if (has(config.stop_signal)) POUCH_RETURN_IF_ERROR(parse_signal(*config.stop_signal).status());
  const std::string hostname = config.hostname.value_or("");
  if (hostname.size() > kMaxHostName || hostname.find('\0') != std::string::npos) {
    return invalid_argument("invalid hostname format: " + quote(hostname));
  }
  if (config.domainname.value_or("").size() > kMaxHostName) {
    return invalid_argument("invalid domainname format: " + quote(*config.domainname));
  }
  return check_health(config.healthcheck);
}

// "bridge" in place of its other names.
std::string network_of(const api::HostConfig& host) {
  const std::string mode = host.network_mode.value_or("");
  return mode.empty() || mode == "default" ? "bridge" : mode;
}

Status check_ports(const api::HostConfig& host) {
  POUCH_ASSIGN_OR_RETURN(const auto requests,
                         spec::port_requests(host.port_bindings.value_or(spec::PortMap{})));
  for (const spec::PortRequest& request : requests) {
    if (!request.host_address.empty() && !sys::IpAddress::parse(request.host_address).is_ok()) {
      return invalid_argument("HostConfig.PortBindings: invalid IP address: " + quote(request.host_address));
    }
  }
  return {};
}

bool joins_another(const api::HostConfig& host) {
  return network_of(host).starts_with("container:");
}

// What a container has in common with the one whose network it joins, in Moby's words.
Status check_guest(const api::ContainerCreateConfig& request, const api::HostConfig& host) {
  if (network_of(host) == "container:")
    return invalid_argument("invalid container format container:<name|id>");
  const auto conflict = [](const std::string& what) {
    return invalid_argument("conflicting options: " + what);
  };
  if (has(request.hostname)) return conflict("hostname and the network mode");
  if (has(host.links)) {
    return conflict(
        "container type network can't be used with links. This would result in undefined behavior");
  }
  if (has(host.dns)) return conflict("dns and the network mode");
  if (has(host.extra_hosts)) return conflict("custom host-to-IP mapping and the network mode");
  if (has(request.mac_address)) return conflict("mac-address and the network mode");
  if (has(host.port_bindings) || host.publish_all_ports.value_or(false)) {
    return conflict("port publishing and the container type network mode");
  }
  if (has(request.exposed_ports)) return conflict("port exposing and the container type network mode");
  return {};
}

Status check_network(const api::ContainerCreateConfig& request, const api::HostConfig& host) {
  if (joins_another(host)) POUCH_RETURN_IF_ERROR(check_guest(request, host));
  if (network_of(host) == "host" && has(host.links)) {
    return invalid_argument(
        "conflicting options: host type networking can't be used with links. This would result in undefined "
        "behavior");
  }
  POUCH_RETURN_IF_ERROR(check_ports(host));
  return {};
}

Status check_restart(const api::HostConfig& host) {
  const api::RestartPolicy policy = host.restart_policy.value_or(api::RestartPolicy{});
  const std::string name = policy.name.value_or("");
  if (name.empty() || name == "no") {
    if (policy.maximum_retry_count.value_or(0) != 0) {
      return invalid_argument("maximum retry count cannot be used with restart policy '" +
                              (name.empty() ? "no" : name) + "'");
    }
    return {};
  }
  if (name != "always" && name != "unless-stopped" && name != "on-failure") {
    return invalid_argument("invalid restart policy '" + name + "'");
  }
  if (name != "on-failure" && policy.maximum_retry_count.value_or(0) != 0) {
    return invalid_argument("maximum retry count cannot be used with restart policy '" + name + "'");
  }
  if (host.auto_remove.value_or(false)) {
    return invalid_argument("can't create 'AutoRemove' container with restart policy");
  }
  return unsupported("HostConfig.RestartPolicy " + quote(name));
}

Status check_extra_hosts(const api::HostConfig& host) {
  for (const std::string& entry : host.extra_hosts.value_or(std::vector<std::string>{})) {
    const size_t colon = entry.find(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == entry.size() ||
        entry.find_first_of(" \t\n") != std::string::npos) {
      return invalid_argument("bad format for add-host: " + quote(entry));
    }
    if (entry.substr(colon + 1) == "host-gateway" &&
        (network_of(host) == "host" || network_of(host) == "none")) {
      return not_implemented("HostConfig.ExtraHosts: host-gateway is not supported on the network " +
                             network_of(host));
    }
  }
  for (const auto& list : {host.dns, host.dns_search, host.dns_options}) {
    for (const std::string& entry : list.value_or(std::vector<std::string>{})) {
      if (entry.empty() || entry.find_first_of(" \t\n") != std::string::npos) {
        return invalid_argument("HostConfig.Dns: bad entry " + quote(entry));
      }
    }
  }
  return {};
}

Status check_host(const api::HostConfig& host) {
  for (const std::string& entry : host.volumes_from.value_or(std::vector<std::string>{})) {
    POUCH_RETURN_IF_ERROR(spec::parse_volumes_from(entry).status());
  }
  POUCH_RETURN_IF_ERROR(check_restart(host));
  POUCH_RETURN_IF_ERROR(parse_log_options(host).status());
  POUCH_RETURN_IF_ERROR(check_extra_hosts(host));
  return {};
}

// Clients send endpoints whose fields are all empty. The first that asks for something, or "".
std::string asked_of_endpoint(const api::EndpointSettings& endpoint) {
  const std::pair<const char*, bool> fields[] = {
      {"EndpointID", has(endpoint.endpoint_id)},
      {"Gateway", has(endpoint.gateway)},
      {"IPAddress", has(endpoint.ip_address)},
      {"IPPrefixLen", endpoint.ip_prefix_len.value_or(0) != 0},
      {"IPv6Gateway", has(endpoint.ipv6_gateway)},
      {"GlobalIPv6Address", has(endpoint.global_ipv6_address)},
      {"GlobalIPv6PrefixLen", endpoint.global_ipv6_prefix_len.value_or(0) != 0},
      {"DNSNames", has(endpoint.dns_names)}};
  for (const auto& [name, asked] : fields) {
    if (asked) return name;
  }
  return {};
}

Status check_mac(const std::optional<std::string>& mac) {
  if (!has(mac)) return {};
  const auto parts = split(*mac, ':');
  const bool good = parts.size() == 6 && std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
                      return part.size() == 2 && is_hex(part);
                    });
  return good ? Status() : invalid_argument("invalid MAC address: " + quote(*mac));
}

Status check_endpoints(const api::ContainerCreateConfig& request, const api::HostConfig& host,
                       const EndpointRequests& endpoints) {
  const std::string mode = network_of(host);
  POUCH_RETURN_IF_ERROR(check_mac(request.mac_address));
  const bool has_links = mode != "host" && mode != "none" && !joins_another(host);
  if (has(request.mac_address) && !has_links) {
    return invalid_argument("conflicting options: mac-address and the network mode");
  }
  for (const auto& [name, endpoint] : endpoints) {
    const std::string where = "NetworkingConfig.EndpointsConfig " + quote(name);
    const std::string field = asked_of_endpoint(endpoint);
    if (!field.empty()) return unsupported(where + ": " + field);
    POUCH_RETURN_IF_ERROR(check_mac(endpoint.mac_address));
    if (has(endpoint.mac_address) && !has_links) return unsupported(where + ": MacAddress");
  }
  return {};
}

// Bytes; "10m" as Docker writes them. Empty for a bad text.
std::optional<int64_t> parse_size(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data() || value < -1) return std::nullopt;
  std::string unit = to_lower(std::string_view(end, static_cast<size_t>(text.data() + text.size() - end)));
  if (unit.ends_with('b')) unit.pop_back();
  int shift = 0;
  if (unit == "k")
    shift = 10;
  else if (unit == "m")
    shift = 20;
  else if (unit == "g")
    shift = 30;
  else if (!unit.empty())
    return std::nullopt;
  if (value > (int64_t{1} << 32)) return std::nullopt;
  return value * (int64_t{1} << shift);
}

bool systempaths_are_unconfined(const api::HostConfig& host) {
  const auto options = spec::parse_security(host);
  return options.is_ok() && options->systempaths_unconfined;
}

Status apply_log_option(const std::string& key, const std::string& value, LogOptions& out) {
  if (key == "max-size") {
    const auto size = parse_size(value);
    if (!size || *size == 0)
      return invalid_argument("invalid value for log option max-size: " + quote(value));
    out.max_size = *size;
    return {};
  }
  if (key == "max-file") {
    const auto count = parse_size(value);
    if (!count || *count < 1 || *count > 1000) {
      return invalid_argument("max-file cannot be less than 1 or more than 1000: " + quote(value));
    }
    out.max_file = static_cast<int>(*count);
    return {};
  }
  if (key == "labels" || key == "env") return {};  // see log_attributes()
  if (key == "mode" && value == "blocking") return {};
  if (key == "labels-regex" || key == "env-regex" || key == "tag" || key == "compress" || key == "mode" ||
      key == "max-buffer-size") {
    return unsupported("HostConfig.LogConfig.Config " + quote(key));
  }
  return invalid_argument("unknown log opt '" + key + "' for " + out.driver + " log driver");
}

}  // namespace

Result<LogOptions> parse_log_options(const api::HostConfig& host) {
  const api::LogConfig config = host.log_config.value_or(api::LogConfig{});
  LogOptions out;
  out.driver = config.type.value_or("").empty() ? "json-file" : *config.type;
  if (out.driver != "json-file" && out.driver != "none") {
    return not_implemented("HostConfig.LogConfig.Type " + quote(out.driver) +
                           " is not supported: use \"json-file\" or \"none\"");
  }
  for (const auto& [key, value] : config.config.value_or(std::map<std::string, std::string>{})) {
    if (out.driver == "none") return invalid_argument("unknown log opt '" + key + "' for none log driver");
    POUCH_RETURN_IF_ERROR(apply_log_option(key, value, out));
  }
  if (out.max_file > 1 && out.max_size < 0) {
    return invalid_argument("max-file cannot be used without max-size");
  }
  return out;
}

Status validate_merged(const api::ContainerConfig& config) {
  return check_config(config);
}

Status validate_request(const api::ContainerCreateConfig& request) {
  api::ContainerConfig config;
  config.volumes = request.volumes;
  config.mac_address = request.mac_address;
  config.network_disabled = request.network_disabled;
  config.args_escaped = request.args_escaped;
  config.env = request.env;
  config.stop_signal = request.stop_signal;
  config.hostname = request.hostname;
  config.domainname = request.domainname;
  config.healthcheck = request.healthcheck;
  config.working_dir = request.working_dir;
  const api::HostConfig host = request.host_config.value_or(api::HostConfig{});
  if (host.uts_mode.value_or("") == "host" && has(config.hostname)) {
    return invalid_argument("conflicting options: hostname and the UTS mode");
  }
  POUCH_RETURN_IF_ERROR(spec::validate(config, host));
  POUCH_RETURN_IF_ERROR(check_host(host));
  POUCH_RETURN_IF_ERROR(api::check_console_size(host.console_size, "HostConfig.ConsoleSize"));
  POUCH_RETURN_IF_ERROR(check_config(config));
  POUCH_RETURN_IF_ERROR(check_exposed(request));
  POUCH_RETURN_IF_ERROR(check_network(request, host));
  const api::NetworkingConfig networks = request.networking_config.value_or(api::NetworkingConfig{});
  return check_endpoints(request, host, networks.endpoints_config.value_or(EndpointRequests{}));
}

EndpointRequests endpoints_of(const api::ContainerCreateConfig& request) {
  const api::HostConfig host = request.host_config.value_or(api::HostConfig{});
  const api::NetworkingConfig asked = request.networking_config.value_or(api::NetworkingConfig{});
  EndpointRequests endpoints;
  for (const auto& [name, settings] : asked.endpoints_config.value_or(EndpointRequests{})) {
    endpoints[name == "default" ? "bridge" : name] = settings;
  }
  const std::string mode = network_of(host);
  if (joins_another(host)) return endpoints;
  api::EndpointSettings& main = endpoints[mode];
  if (!has(main.mac_address)) main.mac_address = request.mac_address;
  for (auto& [name, settings] : endpoints) {
    if (!has(settings.mac_address)) settings.mac_address.reset();
    settings.network_id.reset();
  }
  return endpoints;
}

void fill_host_config(api::HostConfig& host, const std::string& default_runtime, bool cgroup_v2) {
  const auto fill = [](auto& field, auto value) {
    if (!field) field = value;
  };
  const auto fill_text = [](std::optional<std::string>& field, const std::string& value) {
    if (!field || field->empty()) field = value;
  };
  fill_text(host.network_mode, "default");
  fill_text(host.ipc_mode, "private");
  fill_text(host.runtime, default_runtime);
  // As Docker: a label would keep it from what it shares with the host.
  const bool shares = host.pid_mode.value_or("") == "host" || host.ipc_mode.value_or("") == "host";
  if (shares || host.privileged.value_or(false)) {
    fill(host.security_opt, std::vector<std::string>{"label=disable"});
  }
  fill_text(host.cgroupns_mode, spec::default_cgroupns(cgroup_v2, host.privileged.value_or(false)));
  if (!host.privileged.value_or(false) && !systempaths_are_unconfined(host)) {
    fill(host.masked_paths, spec::default_masked_paths());
    fill(host.readonly_paths, spec::default_readonly_paths());
  }
  fill(host.cgroup_parent, std::string());
  fill(host.pid_mode, std::string());
  fill(host.uts_mode, std::string());
  fill(host.userns_mode, std::string());
  fill(host.cpuset_cpus, std::string());
  fill(host.cpuset_mems, std::string());
  fill(host.container_id_file, std::string());
  for (auto* number : {&host.cpu_shares, &host.memory, &host.nano_cpus, &host.blkio_weight, &host.cpu_period,
                       &host.cpu_quota, &host.cpu_realtime_period, &host.cpu_realtime_runtime,
                       &host.memory_reservation, &host.memory_swap, &host.oom_score_adj}) {
    fill(*number, int64_t{0});
  }
  if (*host.memory > 0 && *host.memory_swap == 0) host.memory_swap = *host.memory * 2;
  for (auto* flag : {&host.auto_remove, &host.privileged, &host.publish_all_ports, &host.readonly_rootfs}) {
    fill(*flag, false);
  }
  if (host.shm_size.value_or(0) == 0) host.shm_size = kDefaultShmSize;
  fill(host.restart_policy, api::RestartPolicy{});
  fill_text(host.restart_policy->name, "no");
  fill(host.restart_policy->maximum_retry_count, int64_t{0});
  fill(host.log_config, api::LogConfig{});
  fill_text(host.log_config->type, "json-file");
  fill(host.log_config->config, std::map<std::string, std::string>{});
  fill(host.port_bindings, std::map<std::string, api::Nullable<std::vector<api::PortBinding>>>{});
}

}  // namespace pouch::container
