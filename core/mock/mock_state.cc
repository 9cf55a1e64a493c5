#include "core/mock/mock_state.h"

#include <algorithm>

#include "core/base/id.h"
#include "core/base/text.h"

namespace pouch::mock {

Result<bool> is_own_platform(const std::optional<std::string>& text) {
  if (!text || text->empty()) return true;
  auto platform = api::parse_document<api::Platform>(*text);
  if (!platform.is_ok()) return platform.status().prefix("platform");
  return platform->os == "linux" && platform->architecture == "amd64";
}

Result<std::vector<std::string>> new_names(const std::optional<std::string>& repo,
                                           const std::optional<std::string>& tag) {
  if (!repo || repo->empty()) return std::vector<std::string>{};
  const auto is_bad = [](char c) { return (c >= 'A' && c <= 'Z') || c == ' ' || c == '@'; };
  if (std::any_of(repo->begin(), repo->end(), is_bad))
    return invalid_argument("invalid reference format: " + quote(*repo));
  return std::vector<std::string>{with_tag(tag && !tag->empty() ? *repo + ":" + *tag : *repo)};
}

void merge(api::ContainerConfig& config, const api::ContainerConfig& base) {
  if (!config.cmd && !config.entrypoint) config.cmd = base.cmd;
  if (!config.entrypoint) config.entrypoint = base.entrypoint;
  if (!config.env) config.env = base.env;
  if (!config.working_dir) config.working_dir = base.working_dir;
  if (!config.user) config.user = base.user;
  if (!config.labels) config.labels = base.labels;
}

api::ImageConfig image_config_of(const api::ContainerConfig& config) {
  api::ImageConfig out;
  out.cmd = config.cmd;
  out.entrypoint = config.entrypoint;
  out.env = config.env;
  out.working_dir = config.working_dir;
  out.user = config.user;
  out.labels = config.labels;
  out.exposed_ports = config.exposed_ports;
  out.volumes = config.volumes;
  out.stop_signal = config.stop_signal;
  return out;
}

std::string with_tag(const std::string& reference) {
  std::string text = reference.starts_with("docker.io/library/") ? reference.substr(18) : reference;
  if (text.find('@') != std::string::npos) return text;
  const size_t slash = text.rfind('/');
  const size_t colon = text.rfind(':');
  const bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  return tagged ? text : text + ":latest";
}

Result<std::shared_ptr<Container>> State::find_container(const std::string& id) const {
  const std::string wanted = id.starts_with("/") ? id.substr(1) : id;
  if (const auto at = containers.find(wanted); at != containers.end()) return at->second;
  std::vector<std::shared_ptr<Container>> prefixed;
  for (const auto& [full, container] : containers) {
    if (container->name == wanted) return container;
    if (full.starts_with(wanted)) prefixed.push_back(container);
  }
  if (prefixed.size() == 1) return prefixed[0];
  if (prefixed.size() > 1) return invalid_argument("multiple IDs found with provided prefix: " + wanted);
  return not_found("No such container: " + id);
}

Result<Image*> State::find_image(const std::string& name) {
  const auto is_bad = [](char c) { return (c >= 'A' && c <= 'Z') || c == ' '; };
  if (std::any_of(name.begin(), name.end(), is_bad))
    return invalid_argument("invalid reference format: " + quote(name));
  const std::string tagged = with_tag(name);
  const std::string hex = name.starts_with("sha256:") ? name.substr(7) : name;
  for (auto& [id, image] : images) {
    for (const std::string& reference : image.references) {
      if (reference == tagged) return &image;
    }
    if (is_hex(hex) && id.substr(7).starts_with(hex)) return &image;
  }
  return Status(Code::kNotFound, "No such image: " + (name.starts_with("sha256:") ? name : tagged),
                R"({"hint":"load one with image.load, or make one with image.from_rootfs"})");
}

void State::add_event(const std::string& type, const std::string& action, const std::string& id,
                      std::map<std::string, std::string> attributes) {
  const int64_t now = Timestamp::now().ns;
  api::EventMessage event;
  event.type = type;
  event.action = action;
  event.actor.id = id;
  event.actor.attributes = std::move(attributes);
  event.scope = "local";
  event.time = now / 1'000'000'000;
  event.time_nano = now;
  events.push_back(std::move(event));
  changed.notify_all();
}

void State::add_container_event(const Container& container, const std::string& action,
                                std::map<std::string, std::string> more) {
  std::map<std::string, std::string> attributes =
      container.config.labels.value_or(std::map<std::string, std::string>{});
  attributes["image"] = container.config.image.value_or("");
  attributes["name"] = container.name;
  attributes.merge(more);
  add_event("container", action, container.id, std::move(attributes));
}

}  // namespace pouch::mock
