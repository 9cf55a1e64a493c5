#include <algorithm>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/container/config_merge.h"
#include "core/container/container_files.h"
#include "core/container/list_filter.h"
#include "core/container/manager_impl.h"
#include "core/container/status_text.h"
#include "core/ctrd/snapshots.h"
#include "core/spec/ports.h"

namespace pouch {

using container::ContainerRow;
using container::ListFilter;
namespace state = container::state;

namespace {

constexpr int64_t kSizeMs = 30'000;

// A row's state in Moby's words: transitions show what was before.
std::string shown_state(const ContainerRow& row) {
  if (row.is_running()) return row.paused ? "paused" : "running";
  if (row.state == state::kStarting || row.state == state::kCreating) {
    return row.started.is_zero() ? "created" : "exited";
  }
  return row.state;
}

// Arguments with blanks stand in quotes, as in Moby's lists.
std::string command_text(const std::vector<std::string>& line) {
  std::string text;
  for (const std::string& word : line) {
    if (!text.empty()) text += ' ';
    const bool quoted = &word != &line.front() && word.find(' ') != std::string::npos;
    text += quoted ? "'" + word + "'" : word;
  }
  return text;
}

api::ContainerState state_of(const ContainerRow& row) {
  api::ContainerState out;
  out.status = shown_state(row);
  out.running = row.is_running();
  out.paused = row.is_running() && row.paused;
  out.oom_killed = row.oom_killed;
  out.dead = row.state == state::kDead;
  out.pid = row.is_running() ? row.pid : 0;
  out.exit_code = row.is_running() ? 0 : row.exit_code;
  out.error = row.error;
  out.started_at = row.started;
  out.finished_at = row.is_running() ? Timestamp() : row.finished;
  return out;
}

// The fields beside Networks repeat the default bridge's, as older clients read them.
void show_networks(NetworkView view, spec::PortMap ports, api::NetworkSettings& out) {
  out.sandbox_id = std::move(view.sandbox_id);
  out.sandbox_key = std::move(view.sandbox_key);
  out.ports = std::move(ports);
  if (const auto at = view.networks.find("bridge"); at != view.networks.end()) {
    const api::EndpointSettings& bridge = at->second;
    out.endpoint_id = bridge.endpoint_id.value_or("");
    out.gateway = bridge.gateway.value_or("");
    out.ip_address = bridge.ip_address.value_or("");
    out.ip_prefix_len = bridge.ip_prefix_len.value_or(0);
    out.mac_address = bridge.mac_address.value_or("");
    out.ipv6_gateway = bridge.ipv6_gateway.value_or("");
    out.global_ipv6_address = bridge.global_ipv6_address.value_or("");
    out.global_ipv6_prefix_len = bridge.global_ipv6_prefix_len.value_or(0);
  }
  out.networks = std::move(view.networks);
}

// On the host's network, and on none, nothing is exposed.
bool has_ports(const api::HostConfig& host) {
  const std::string mode = host.network_mode.value_or("none");
  return mode != "none" && mode != "host";
}

// While it runs: all that it exposes, and what leads there.
spec::PortMap ports_shown(const ContainerRow& row, const api::ContainerConfig& config,
                          const api::HostConfig& host, const NetworkView& view) {
  spec::PortMap ports;
  if (!row.is_running() || !has_ports(host)) return ports;
  for (const auto& [port, empty] : config.exposed_ports.value_or(std::map<std::string, api::Empty>{})) {
    ports[port];
  }
  for (const PublishedPort& published : view.ports) {
    auto& list = ports[spec::ContainerPort{published.protocol, published.port}.text()].value;
    api::PortBinding binding;
    const bool is_v6 = published.address.find(':') != std::string::npos;
    binding.host_ip = published.is_direct() ? (is_v6 ? "::" : "0.0.0.0") : published.host_address;
    binding.host_port = published.is_direct() ? "" : std::to_string(published.host_port);
    if (!list) list.emplace();
    list->push_back(std::move(binding));
  }
  return ports;
}

std::vector<api::PortSummary> port_summaries(const spec::PortMap& ports) {
  std::vector<api::PortSummary> out;
  for (const auto& [text, bindings] : ports) {
    const auto port = spec::parse_container_port(text);
    if (!port.is_ok()) continue;  // of an image whose config is odd
    api::PortSummary summary;
    summary.private_port = port->port;
    summary.type = port->protocol;
    if (!bindings.value) out.push_back(summary);
    for (const api::PortBinding& binding : bindings.value.value_or(std::vector<api::PortBinding>{})) {
      summary.ip = binding.host_ip;
      summary.public_port.reset();
      if (!binding.host_port->empty()) summary.public_port = std::stol(*binding.host_port);
      out.push_back(summary);
    }
  }
  return out;
}

bool filter_matches(const ListFilter& filter, const ContainerRow& row, const api::ContainerConfig& config,
                    const api::HostConfig& host, const NetworkView& view,
                    const std::vector<api::MountPoint>& mounts) {
  container::FilterSubject subject;
  const std::string shown = shown_state(row);
  subject.id = row.id.str();
  subject.name = row.name;
  subject.state = shown;
  subject.running = row.is_running();
  subject.exit_code = row.exit_code;
  subject.has_exited = !row.is_running() && !row.finished.is_zero();
  subject.health = "none";
  subject.image_id = row.image_id.str();
  subject.created = row.created;
  if (config.labels) subject.labels = &*config.labels;
  for (const auto& [name, endpoint] : view.networks) {
    subject.networks.push_back(name);
    if (endpoint.network_id) subject.networks.push_back(*endpoint.network_id);
  }
  for (const api::MountPoint& mount : mounts) {
    subject.volumes.push_back(mount.destination);
    const std::string name = mount.name.value_or(mount.source);
    if (!name.empty()) subject.volumes.push_back(name);
  }
  for (const PublishedPort& port : view.ports) {
    if (port.is_direct()) continue;  // of no port of the host
    subject.published_ports.push_back(spec::ContainerPort{port.protocol, port.host_port}.text());
  }
  if (!has_ports(host)) return filter.matches(subject);
  for (const auto& [port, empty] : config.exposed_ports.value_or(std::map<std::string, api::Empty>{})) {
    subject.exposed_ports.push_back(port);
  }
  return filter.matches(subject);
}

}  // namespace

namespace container {

/// One list request: filters with what they refer to, and the names of images already looked up.
struct Listing {
  ListFilter filter;
  bool all = false;
  int64_t limit = 0;
  bool size = false;
  std::map<ContainerId, NetworkView> networks;
  std::map<ContainerId, std::vector<api::MountPoint>> mounts;
  std::map<std::string, std::string> image_ids;  ///< by reference; empty: the name is gone
};

}  // namespace container

Result<container::Listing> ContainerManager::Impl::prepare_list(const api::ContainerListOptions& options,
                                                                const Call& call) {
  container::Listing listing;
  POUCH_ASSIGN_OR_RETURN(listing.filter, ListFilter::parse(options.filters.value_or(FilterMap{})));
  listing.limit = options.limit.value_or(-1);
  listing.all = options.all.value_or(false) || listing.limit > 0 || listing.filter.wants_all();
  listing.size = options.size.value_or(false);
  std::set<std::string> ancestors;
  for (const std::string& name : listing.filter.values("ancestor")) {
    const auto image = images.resolve(name, call);
    if (image.is_ok()) ancestors.insert(image->id.str());  // an unknown one has no containers
  }
  listing.filter.set_ancestors(std::move(ancestors));
  for (const std::string& name : listing.filter.values("before")) {
    POUCH_ASSIGN_OR_RETURN(const auto seen, see(name));
    listing.filter.set_before(seen.row.created);
  }
  for (const std::string& name : listing.filter.values("since")) {
    POUCH_ASSIGN_OR_RETURN(const auto seen, see(name));
    listing.filter.set_since(seen.row.created);
  }
  return listing;
}

Status ContainerManager::Impl::measure(const ContainerRow& row, const Call& call,
                                       std::optional<int64_t>& written, std::optional<int64_t>& whole) {
  Call bounded = call;
  bounded.deadline = call.deadline.earlier(Deadline::after_ms(kSizeMs));
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(bounded));
  POUCH_ASSIGN_OR_RETURN(const auto usage,
                         client->snapshots().usage(bounded, row.snapshotter, row.snapshot_key));
  written = usage.size;
  const auto image = images.unpacked_bytes(row.image_id, bounded);
  whole = usage.size + (image.is_ok() ? *image : 0);
  return {};
}

// The reference as it was given while it still names the same image, else the id.
std::string ContainerManager::Impl::shown_image(container::Listing& listing, const ContainerRow& row,
                                                const Call& call) {
  const auto [at, is_new] = listing.image_ids.try_emplace(row.image_ref);
  if (is_new) {
    const auto image = images.resolve(row.image_ref, call);
    if (image.is_ok()) at->second = image->id.str();
  }
  return at->second == row.image_id.str() ? row.image_ref : row.image_id.str();
}

Result<std::optional<api::ContainerSummary>> ContainerManager::Impl::summarize(container::Listing& listing,
                                                                               const ContainerRow& row,
                                                                               const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, row.config());
  POUCH_ASSIGN_OR_RETURN(const api::HostConfig host, row.host_config());
  if (!filter_matches(listing.filter, row, config, host, listing.networks.at(row.id),
                      listing.mounts.at(row.id)))
    return std::optional<api::ContainerSummary>();
  api::ContainerSummary out;
  out.id = row.id.str();
  out.names = std::vector<std::string>{"/" + row.name};
  out.image = shown_image(listing, row, call);
  out.image_id = row.image_id.str();
  out.command = command_text(container::command_line(config));
  out.created = row.created.ns / 1'000'000'000;
  out.ports = port_summaries(ports_shown(row, config, host, listing.networks.at(row.id)));
  out.labels = config.labels.value_or(container::Attributes{});
  out.state = shown_state(row);
  out.status =
      container::status_text({out.state, row.exit_code, row.started, row.finished, ""}, Timestamp::now());
  out.host_config.network_mode = host.network_mode;
  out.host_config.annotations = host.annotations;
  api::ContainerSummaryNetworkSettings shown;
  shown.networks = listing.networks.at(row.id).networks;
  out.network_settings = std::move(shown);
  out.mounts = listing.mounts.at(row.id);
  if (listing.size) {
    const Status measured = measure(row, call, out.size_rw, out.size_root_fs);
    if (!measured.is_ok()) log_warning("container", "size: " + measured.message(), row.id.str());
  }
  return std::optional<api::ContainerSummary>(std::move(out));
}

Result<std::vector<api::ContainerSummary>> ContainerManager::Impl::list(
    const api::ContainerListOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(container::Listing listing, prepare_list(options, call));
  std::vector<ContainerRow> rows;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
    POUCH_ASSIGN_OR_RETURN(rows, container::all_containers(snapshot));
    for (const ContainerRow& row : rows) {
      if (!listing.all && !row.is_running()) continue;
      POUCH_ASSIGN_OR_RETURN(const api::HostConfig host, row.host_config());
      POUCH_ASSIGN_OR_RETURN(NetworkView view, networks.view(snapshot, row.id, row.generation, host));
      listing.networks[row.id] = std::move(view);
      POUCH_ASSIGN_OR_RETURN(listing.mounts[row.id], mounts_of(snapshot, row.id, host));
    }
  }
  std::vector<api::ContainerSummary> out;
  for (const ContainerRow& row : rows) {
    if (!listing.all && !row.is_running()) continue;
    if (listing.limit > 0 && out.size() >= static_cast<size_t>(listing.limit)) break;
    POUCH_ASSIGN_OR_RETURN(auto summary, summarize(listing, row, call));
    if (summary) out.push_back(std::move(*summary));
  }
  return out;
}

Result<api::ContainerInspect> ContainerManager::Impl::inspect(const std::string& reference,
                                                              const api::ContainerInspectOptions& options,
                                                              const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  ContainerRow row;
  std::vector<container::ExecRow> execs;
  api::ContainerInspect out;
  NetworkView network;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
    POUCH_ASSIGN_OR_RETURN(row, container::find_container(snapshot, reference));
    POUCH_ASSIGN_OR_RETURN(execs, container::execs_of_container(snapshot, row.id));
    POUCH_ASSIGN_OR_RETURN(out.host_config, row.host_config());
    POUCH_ASSIGN_OR_RETURN(network, networks.view(snapshot, row.id, row.generation, out.host_config));
    POUCH_ASSIGN_OR_RETURN(out.mounts, mounts_of(snapshot, row.id, out.host_config));
  }
  if (row.state == state::kCreating) return not_found("No such container: " + reference);
  POUCH_ASSIGN_OR_RETURN(out.config, row.config());
  out.id = row.id.str();
  out.created = row.created;
  std::vector<std::string> line = container::command_line(out.config);
  if (!line.empty()) {
    out.path = line.front();
    line.erase(line.begin());
  }
  out.args = std::move(line);
  out.state = state_of(row);
  out.image = row.image_id.str();
  const auto paths = container::container_paths(context.root_dir(), row.id);
  if (row.generation > 0) {  // the first start makes them
    out.resolv_conf_path = paths.resolv_conf;
    out.hostname_path = paths.hostname;
    out.hosts_path = paths.hosts;
    out.log_path = row.log_path;
  }
  out.name = "/" + row.name;
  out.restart_count = row.restart_count;
  out.driver = row.snapshotter;
  out.platform = "linux";
  std::vector<std::string> exec_ids;
  for (const container::ExecRow& exec : execs) {
    if (exec.state != state::kExited) exec_ids.push_back(exec.id.str());
  }
  if (!exec_ids.empty()) out.exec_ids = std::move(exec_ids);
  out.graph_driver.name = row.snapshotter;
  spec::PortMap ports = ports_shown(row, out.config, out.host_config, network);
  show_networks(std::move(network), std::move(ports), out.network_settings);
  if (options.size.value_or(false)) {
    POUCH_RETURN_IF_ERROR(measure(row, call, out.size_rw, out.size_root_fs));
  }
  return out;
}

}  // namespace pouch
