#include "core/container/config_merge.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace pouch::container {
namespace {

std::string_view name_of(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

template <class T>
bool is_blank(const std::optional<T>& value) {
  return !value || value->empty();
}

template <class T>
void take_if_blank(std::optional<T>& mine, const std::optional<T>& theirs) {
  if (is_blank(mine) && !is_blank(theirs)) mine = theirs;
}

template <class Map>
void unite(std::optional<Map>& mine, const std::optional<Map>& theirs) {
  if (is_blank(theirs)) return;
  if (!mine) mine.emplace();
  mine->insert(theirs->begin(), theirs->end());  // keeps what is there
}

void merge_environment(api::ContainerConfig& config, const api::ContainerConfig& image) {
  if (is_blank(image.env)) return;
  if (!config.env) config.env.emplace();
  std::vector<std::string>& env = *config.env;
  const size_t own = env.size();
  for (const std::string& entry : *image.env) {
    const auto end = env.begin() + static_cast<std::ptrdiff_t>(own);
    const bool overridden =
        std::any_of(env.begin(), end, [&](const auto& mine) { return name_of(mine) == name_of(entry); });
    if (!overridden) env.push_back(entry);
  }
}

void merge_command(api::ContainerConfig& config, const api::ContainerConfig& image) {
  if (!is_blank(config.entrypoint)) return;
  if (is_blank(config.cmd)) config.cmd = image.cmd;
  if (!config.entrypoint) config.entrypoint = image.entrypoint;
}

void merge_health(api::ContainerConfig& config, const api::ContainerConfig& image) {
  if (!image.healthcheck) return;
  if (!config.healthcheck) {
    config.healthcheck = image.healthcheck;
    return;
  }
  api::HealthConfig& mine = *config.healthcheck;
  const api::HealthConfig& theirs = *image.healthcheck;
  const auto take_time = [](std::optional<Duration>& to, const std::optional<Duration>& from) {
    if (!to || to->ns == 0) to = from;
  };
  take_if_blank(mine.test, theirs.test);
  take_time(mine.interval, theirs.interval);
  take_time(mine.timeout, theirs.timeout);
  take_time(mine.start_period, theirs.start_period);
  take_time(mine.start_interval, theirs.start_interval);
  if (mine.retries.value_or(0) == 0) mine.retries = theirs.retries;
}

}  // namespace

api::ContainerConfig config_of(const api::ContainerCreateConfig& request) {
  api::ContainerConfig config;
  config.hostname = request.hostname;
  config.domainname = request.domainname;
  config.user = request.user;
  config.attach_stdin = request.attach_stdin;
  config.attach_stdout = request.attach_stdout;
  config.attach_stderr = request.attach_stderr;
  config.exposed_ports = request.exposed_ports;
  config.tty = request.tty;
  config.open_stdin = request.open_stdin;
  config.stdin_once = request.stdin_once;
  config.env = request.env;
  config.cmd = request.cmd;
  config.healthcheck = request.healthcheck;
  config.args_escaped = request.args_escaped;
  config.image = request.image;
  config.volumes = request.volumes;
  config.working_dir = request.working_dir;
  config.entrypoint = request.entrypoint;
  config.network_disabled = request.network_disabled;
  config.mac_address = request.mac_address;
  config.on_build = request.on_build;
  config.labels = request.labels;
  config.stop_signal = request.stop_signal;
  config.stop_timeout = request.stop_timeout;
  config.shell = request.shell;
  return config;
}

Status merge_image_config(api::ContainerConfig& config, const api::ContainerConfig& image) {
  take_if_blank(config.user, image.user);
  take_if_blank(config.working_dir, image.working_dir);
  take_if_blank(config.stop_signal, image.stop_signal);
  unite(config.exposed_ports, image.exposed_ports);
  unite(config.volumes, image.volumes);
  unite(config.labels, image.labels);
  merge_environment(config, image);
  merge_command(config, image);
  merge_health(config, image);
  if (config.entrypoint && config.entrypoint->size() == 1 && config.entrypoint->front().empty()) {
    config.entrypoint.reset();
  }
  if (is_blank(config.entrypoint) && is_blank(config.cmd)) {
    return invalid_argument("No command specified");
  }
  return {};
}

std::vector<std::string> command_line(const api::ContainerConfig& config) {
  std::vector<std::string> line = config.entrypoint.value_or(std::vector<std::string>{});
  if (config.cmd) line.insert(line.end(), config.cmd->begin(), config.cmd->end());
  return line;
}

}  // namespace pouch::container
