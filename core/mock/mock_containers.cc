#include <signal.h>

#include <algorithm>
#include <array>

#include "core/api/console_size.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_state.h"

namespace pouch {
namespace mock {

std::string network_mode(const api::HostConfig& host) {
  const std::string mode = host.network_mode.value_or("");
  return mode.empty() || mode == "default" ? "bridge" : mode;
}

std::map<std::string, api::EndpointSettings> endpoints_of(const Container& container) {
  const std::string mode = network_mode(container.host);
  std::map<std::string, api::EndpointSettings> endpoints = container.endpoints;
  if (mode.starts_with("container:")) return endpoints;
  if (!container.has_left) endpoints[mode];
  if (!container.main.running || !has_own_links(mode)) return endpoints;
  int number = 0;
  for (const char digit : container.id) number = (number * 31 + digit) % 250;
  std::array<char, 18> mac{};
  std::snprintf(mac.data(), mac.size(), "02:42:0a:c0:00:%02x", number + 2);
  int network = 192;
  for (auto& [name, endpoint] : endpoints) {
    const std::string begin = "10." + std::to_string(network++) + ".0.";
    const api::EndpointIPAMConfig ipam = endpoint.ipam_config.value_or(api::EndpointIPAMConfig{});
    endpoint.network_id = std::string(64, 'b');
    endpoint.endpoint_id = container.id;
    endpoint.gateway = begin + "1";
    endpoint.ip_address = ipam.ipv4_address.value_or(begin + std::to_string(number + 2));
    endpoint.ip_prefix_len = 22;
    endpoint.mac_address = endpoint.mac_address.value_or(std::string(mac.data()));
  }
  return endpoints;
}

}  // namespace mock

using mock::Container;
using mock::MockProcess;

namespace {

bool is_name(const std::string& name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.size() < 2 || !is_word(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_word(c) || c == '_' || c == '.' || c == '-'; });
}

Status check_supported(const api::ContainerCreateConfig& config) {
  const api::HostConfig host = config.host_config.value_or(api::HostConfig{});
  if (host.memory.value_or(0) != 0 && *host.memory < 6 * 1024 * 1024) {
    return invalid_argument("Minimum memory limit allowed is 6MB");
  }
  if (host.init.value_or(false)) return not_implemented("HostConfig.Init is not supported");
  return mock::check_ports(host);
}

// With the lock held. NotFound for a network that is not there.
Result<std::map<std::string, api::EndpointSettings>> asked_networks(
    mock::State& state, const api::ContainerCreateConfig& config) {
  std::map<std::string, api::EndpointSettings> out;
  const std::string mode = mock::network_mode(config.host_config.value_or(api::HostConfig{}));
  if (mock::has_own_links(mode)) POUCH_RETURN_IF_ERROR(state.find_network(mode).status());
  const api::NetworkingConfig asked = config.networking_config.value_or(api::NetworkingConfig{});
  for (const auto& [name, settings] :
       asked.endpoints_config.value_or(std::map<std::string, api::EndpointSettings>{})) {
    if (name == mode || name == "default") continue;
    POUCH_ASSIGN_OR_RETURN(const api::Network* network, state.find_network(name));
    out[network->name] = settings;
  }
  return out;
}

struct SignalName {
  std::string_view name;
  int number;
};
constexpr std::array<SignalName, 12> kSignals = {{{"HUP", SIGHUP},
                                                  {"INT", SIGINT},
                                                  {"QUIT", SIGQUIT},
                                                  {"KILL", SIGKILL},
                                                  {"USR1", SIGUSR1},
                                                  {"USR2", SIGUSR2},
                                                  {"TERM", SIGTERM},
                                                  {"CONT", SIGCONT},
                                                  {"STOP", SIGSTOP},
                                                  {"WINCH", SIGWINCH},
                                                  {"CHLD", SIGCHLD},
                                                  {"ABRT", SIGABRT}}};

Result<int> parse_signal(const std::string& text) {
  std::string name = text;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (name.starts_with("SIG")) name = name.substr(3);
  for (const SignalName& entry : kSignals) {
    if (name == entry.name || name == std::to_string(entry.number)) return entry.number;
  }
  return invalid_argument("Invalid signal: " + text);
}

std::string status_text(const Container& container) {
  if (container.main.running) return "Up Less than a second";
  if (container.started.is_zero()) return "Created";
  return "Exited (" + std::to_string(container.main.exit_code) + ") Less than a second ago";
}

std::string state_text(const Container& container) {
  if (container.main.running) return "running";
  return container.started.is_zero() ? "created" : "exited";
}

Result<bool> matches_filters(const Container& container, const api::ContainerListOptions& options) {
  for (const auto& [key, values] :
       options.filters.value_or(std::map<std::string, std::vector<std::string>>{})) {
    const auto any = [&values = values](const auto& test) {
      return std::any_of(values.begin(), values.end(), test);
    };
    bool matches = false;
    if (key == "name") {
      matches = any([&](const std::string& v) { return container.name.find(v) != std::string::npos; });
    } else if (key == "id") {
      matches = any([&](const std::string& v) { return container.id.starts_with(v); });
    } else if (key == "status") {
      matches = any([&](const std::string& v) { return state_text(container) == v; });
    } else if (key == "label") {
      matches = std::all_of(values.begin(), values.end(), [&](const std::string& v) {
        const auto& labels = container.config.labels;
        const size_t equals = v.find('=');
        if (!labels || !labels->contains(v.substr(0, equals))) return false;
        return equals == std::string::npos || labels->at(v.substr(0, equals)) == v.substr(equals + 1);
      });
    } else if (key == "volume") {
      matches = any([&](const std::string& v) {
        return std::any_of(
            container.mounts.begin(), container.mounts.end(),
            [&](const api::MountPoint& mount) { return mount.destination == v || mount.name == v; });
      });
    } else {
      return invalid_argument("invalid filter '" + key + "'");
    }
    if (!matches) return false;
  }
  return true;
}

}  // namespace

Result<api::ContainerCreateResult> MockEngine::container_create(const api::ContainerCreateConfig& config,
                                                                const api::ContainerCreateOptions& options,
                                                                const Call& call) {
  std::string name = options.name.value_or("");
  if (name.starts_with("/")) name = name.substr(1);
  if (!name.empty() && !is_name(name)) {
    return invalid_argument("Invalid container name (" + name +
                            "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  }
  POUCH_RETURN_IF_ERROR(check_supported(config));
  if (config.host_config) {
    POUCH_RETURN_IF_ERROR(
        api::check_console_size(config.host_config->console_size, "HostConfig.ConsoleSize"));
  }
  const std::lock_guard lock(state_->mutex);
  POUCH_RETURN_IF_ERROR(state_->check_session(call.session));
  POUCH_ASSIGN_OR_RETURN(const auto endpoints, asked_networks(*state_, config));
  if (config.image.value_or("").empty()) return invalid_argument("Config.Image: no image was named");
  POUCH_ASSIGN_OR_RETURN(const mock::Image* image, state_->find_image(*config.image));
  for (const auto& [id, other] : state_->containers) {
    if (name.empty() || other->name != name || state_->is_wrong("name-reuse")) continue;
    return conflict("Conflict. The container name \"/" + name + "\" is already in use by container \"" + id +
                    "\". You have to remove (or rename) that container to be able to reuse that name.");
  }
  auto container = std::make_shared<Container>();
  container->id = new_object_id();
  container->name = name.empty() ? "mock_" + container->id.substr(0, 8) : name;
  container->image_id = image->id;
  POUCH_ASSIGN_OR_RETURN(container->config, api::from_json<api::ContainerConfig>(api::encode_value(config),
                                                                                 api::DecodeMode::kLenient));
  container->host = config.host_config.value_or(api::HostConfig{});
  if (container->host.network_mode.value_or("").empty()) container->host.network_mode = "default";
  const std::vector<std::string> none;
  container->args = config.entrypoint.value_or(image->config.entrypoint.value_or(none));
  const auto cmd = config.cmd.value_or(config.entrypoint ? none : image->config.cmd.value_or(none));
  container->args.insert(container->args.end(), cmd.begin(), cmd.end());
  if (container->args.empty()) return invalid_argument("no command specified");
  container->created = Timestamp::now();
  POUCH_RETURN_IF_ERROR(state_->add_volumes(*container, call.session));
  state_->containers[container->id] = container;
  container->endpoints = endpoints;
  state_->add_maker("container", container->id, call.session);
  state_->add_container_event(*container, "create");
  return api::ContainerCreateResult{container->id, std::vector<std::string>{}};
}

Status MockEngine::container_start(const std::string& id, const api::ContainerStartOptions& /*options*/,
                                   const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->find_container(id);
  if (!found.is_ok()) return found.status();
  const std::shared_ptr<Container>& container = *found;
  if (container->main.running)
    return {Code::kNotModified, "container " + container->id + " is already running"};
  if (const Status known = MockProcess::check(container->args); !known.is_ok()) {
    container->error = known.message();
    container->main.exit_code = 127;
    if (container->host.auto_remove.value_or(false)) {
      container->removed = true;
      state_->containers.erase(container->id);
      state_->drop_volumes(*container, true);
      state_->add_container_event(*container, "destroy");
    }
    for (const mock::Attached& client : container->main.attached) client.pipe->finish(std::string("{}"));
    container->main.attached.clear();
    return known;
  }
  POUCH_RETURN_IF_ERROR(mock::publish_ports(*state_, *container));
  const auto output = [state = state_, container](Channel channel, const std::string& bytes) {
    std::vector<mock::Attached> attached;
    {
      const std::lock_guard guard(state->mutex);
      if (channel == Channel::kStderr && state->is_wrong("lost-stderr")) return;
      container->logs.push_back({channel, Timestamp::now(), bytes});
      attached = container->main.attached;
      state->changed.notify_all();
    }
    // Outside the lock: a reader that is behind slows its container down.
    for (const mock::Attached& client : attached) {
      if (channel == Channel::kStdout ? client.out : client.err) client.pipe->push(channel, bytes).ignore();
    }
  };
  container->main.started = true;
  container->main.running = true;
  container->started = Timestamp::now();
  container->error.clear();
  ++container->generation;
  auto previous = std::move(container->main.process);  // its thread has ended: the container was not running
  container->main.process = std::make_shared<MockProcess>(
      container->args, container->config.open_stdin.value_or(false),
      mock::terminal_of(container->config.tty, container->host.console_size),
      MockProcess::Hooks{output, [this, container](int code) { on_exit(container, code); }});
  state_->add_container_event(*container, "start");
  container->main.process->start();
  if (previous) executor_.submit([gone = std::move(previous)] {});
  return {};
}

void MockEngine::on_exit(const std::shared_ptr<Container>& container, int exit_code) {
  const std::lock_guard lock(state_->mutex);
  if (state_->is_wrong("exit-code")) exit_code = 0;
  container->main.running = false;
  container->main.exit_code = exit_code;
  container->finished = Timestamp::now();
  for (const mock::Attached& client : container->main.attached) client.pipe->finish(std::string("{}"));
  container->main.attached.clear();
  state_->add_container_event(*container, "die", {{"exitCode", std::to_string(exit_code)}});
  if (container->host.auto_remove.value_or(false)) {
    container->removed = true;
    state_->containers.erase(container->id);
    state_->drop_volumes(*container, true);
    state_->add_container_event(*container, "destroy");
  }
}

Status MockEngine::container_kill(const std::string& id, const api::ContainerKillOptions& options,
                                  const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->find_container(id);
  if (!found.is_ok()) return found.status();
  const std::string text = options.signal.value_or("");
  POUCH_ASSIGN_OR_RETURN(const int number, parse_signal(text.empty() ? "KILL" : text));
  Container& container = **found;
  if (!container.main.running) {
    return conflict("Cannot kill container: " + id + ": Container " + container.id + " is not running");
  }
  container.main.process->signal(number);
  state_->add_container_event(container, "kill", {{"signal", std::to_string(number)}});
  return {};
}

Status MockEngine::container_stop(const std::string& id, const api::ContainerStopOptions& options,
                                  const Call& call) {
  std::unique_lock lock(state_->mutex);
  const auto found = state_->find_container(id);
  if (!found.is_ok()) return found.status();
  const std::shared_ptr<Container>& container = *found;
  const std::string wanted = options.signal.value_or(container->config.stop_signal.value_or(""));
  POUCH_ASSIGN_OR_RETURN(const int number, parse_signal(wanted.empty() ? "TERM" : wanted));
  if (!container->main.running) return {Code::kNotModified, "container " + container->id + " is not running"};
  const int64_t seconds = options.t.value_or(container->config.stop_timeout.value_or(10));
  container->main.process->signal(number);
  state_->add_container_event(*container, "kill", {{"signal", std::to_string(number)}});
  const auto stopped = [&] { return !container->main.running; };
  Call grace = call;
  if (seconds >= 0) grace.deadline = call.deadline.earlier(Deadline::after_ms(seconds * 1000));
  const Status waited = wait_for(lock, state_->changed, grace, stopped);
  if (waited.code() == Code::kCancelled || call.deadline.has_passed()) return waited;
  if (!waited.is_ok()) {
    container->main.process->signal(SIGKILL);
    POUCH_RETURN_IF_ERROR(wait_for(lock, state_->changed, call, stopped));
  }
  state_->add_container_event(*container, "stop");
  return {};
}

Status MockEngine::container_remove(const std::string& id, const api::ContainerRemoveOptions& options,
                                    const Call& call) {
  if (options.link.value_or(false)) return not_implemented("container.remove: link is not supported");
  std::shared_ptr<Container> container;
  {
    std::unique_lock lock(state_->mutex);
    const auto found = state_->find_container(id);
    if (!found.is_ok()) return found.status();
    container = *found;
    if (container->main.running && !state_->is_wrong("remove-running")) {
      if (!options.force.value_or(false)) {
        return conflict("You cannot remove a running container " + container->id +
                        ". Stop the container before attempting removal or force remove");
      }
      container->main.process->signal(SIGKILL);
      POUCH_RETURN_IF_ERROR(wait_for(lock, state_->changed, call, [&] { return !container->main.running; }));
    }
    if (!container->removed) {
      container->removed = true;
      state_->containers.erase(container->id);
      std::erase_if(state_->execs, [&](const auto& entry) { return entry.second->container == container; });
      state_->drop_volumes(*container, options.v.value_or(false));
      state_->add_container_event(*container, "destroy");
    }
  }
  return {};
}

Status MockEngine::container_rename(const std::string& id, const api::ContainerRenameOptions& options,
                                    const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->find_container(id);
  if (!found.is_ok()) return found.status();
  const std::string name = options.name.starts_with("/") ? options.name.substr(1) : options.name;
  if (name.empty()) return invalid_argument("Neither old nor new names may be empty");
  if (!is_name(name)) {
    return invalid_argument("Invalid container name (" + name +
                            "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  }
  Container& container = **found;
  if (container.name == name) {
    return invalid_argument("Renaming a container with the same name as its current name");
  }
  for (const auto& [other_id, other] : state_->containers) {
    if (other->name != name) continue;
    return conflict("Conflict. The container name \"/" + name + "\" is already in use by container \"" +
                    other_id +
                    "\". You have to remove (or rename) that container to be able to reuse that name.");
  }
  const std::string old = container.name;
  container.name = name;
  state_->add_container_event(container, "rename", {{"oldName", "/" + old}});
  return {};
}

Status MockEngine::container_resize(const std::string& id, const api::ContainerResizeOptions& options,
                                    const Call& /*call*/) {
  POUCH_RETURN_IF_ERROR(mock::check_size(options.h, options.w));
  std::shared_ptr<Container> container;
  {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->find_container(id);
    if (!found.is_ok()) return found.status();
    container = *found;
  }
  POUCH_RETURN_IF_ERROR(state_->resize(container->main, options.h, options.w, "Container " + container->id));
  const std::lock_guard lock(state_->mutex);
  state_->add_container_event(*container, "resize",
                              {{"height", std::to_string(options.h)}, {"width", std::to_string(options.w)}});
  return {};
}

Result<std::vector<api::ContainerSummary>> MockEngine::container_list(
    const api::ContainerListOptions& options, const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::shared_ptr<Container>> chosen;
  const bool status_filter = options.filters && options.filters->contains("status");
  for (const auto& [id, container] : state_->containers) {
    POUCH_ASSIGN_OR_RETURN(const bool matches, matches_filters(*container, options));
    const bool visible = container->main.running || options.all.value_or(false) ||
                         options.limit.value_or(0) > 0 || status_filter;
    if (matches && visible) chosen.push_back(container);
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const auto& a, const auto& b) { return a->created > b->created; });
  if (options.limit.value_or(0) > 0 && chosen.size() > static_cast<size_t>(*options.limit)) {
    chosen.resize(static_cast<size_t>(*options.limit));
  }
  std::vector<api::ContainerSummary> out;
  for (const auto& container : chosen) {
    api::ContainerSummary row;
    row.id = container->id;
    row.names = std::vector<std::string>{"/" + container->name};
    row.image = container->config.image.value_or("");
    row.image_id = container->image_id;
    row.command = join(container->args, " ");
    row.created = container->created.ns / 1'000'000'000;
    row.state = state_text(*container);
    row.status = status_text(*container);
    row.labels = container->config.labels.value_or(std::map<std::string, std::string>{});
    row.ports = mock::summarised_ports(*container);
    row.mounts = container->mounts;
    row.host_config.network_mode = container->host.network_mode;
    row.network_settings = api::ContainerSummaryNetworkSettings{};
    row.network_settings->networks = mock::endpoints_of(*container);
    if (options.size.value_or(false)) row.size_rw = row.size_root_fs = 0;
    out.push_back(std::move(row));
  }
  return out;
}

Result<api::ContainerInspect> MockEngine::container_inspect(const std::string& id,
                                                            const api::ContainerInspectOptions& /*options*/,
                                                            const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const auto container, state_->find_container(id));
  api::ContainerInspect out;
  out.id = container->id;
  out.created = container->created;
  out.path = container->args[0];
  out.args = std::vector<std::string>(container->args.begin() + 1, container->args.end());
  out.state.status = state_text(*container);
  out.state.running = container->main.running;
  out.state.pid = container->main.running ? 1 : 0;
  out.state.exit_code = container->main.running ? 0 : container->main.exit_code;
  out.state.error = container->error;
  out.state.started_at = container->started;
  out.state.finished_at = container->main.running ? Timestamp{} : container->finished;
  out.image = container->image_id;
  out.name = "/" + container->name;
  out.driver = "mock";
  out.platform = "linux";
  out.host_config = container->host;
  out.graph_driver.name = "mock";
  out.mounts = container->mounts;
  out.config = container->config;
  out.network_settings.ports = mock::shown_ports(*container);
  out.network_settings.networks = mock::endpoints_of(*container);
  if (const auto at = out.network_settings.networks->find("bridge");
      at != out.network_settings.networks->end()) {
    out.network_settings.ip_address = at->second.ip_address.value_or("");
    out.network_settings.gateway = at->second.gateway.value_or("");
    out.network_settings.ip_prefix_len = at->second.ip_prefix_len.value_or(0);
    out.network_settings.mac_address = at->second.mac_address.value_or("");
    out.network_settings.endpoint_id = at->second.endpoint_id.value_or("");
  }
  return out;
}

}  // namespace pouch
