#include <algorithm>
#include <array>

#include "daemon/bridge/bridge.h"
#include "daemon/bridge/flat_read_only.h"
#include "daemon/bridge/json_path.h"
#include "daemon/bridge/normalise.h"
#include "daemon/bridge/schema.h"

namespace pouch::bridge {
namespace {

// What a version did not have yet is not looked at when a client of it sends it.
struct Gate {
  std::string_view op;
  std::string_view path;
  int since;  // minor
};

constexpr std::array kConfigGates = {
    Gate{"container.create", "HostConfig.Mounts[].BindOptions.NonRecursive", 40},
    Gate{"container.create", "HostConfig.DeviceRequests", 40},
    Gate{"container.create", "HostConfig.CgroupnsMode", 41},
    Gate{"container.create", "HostConfig.ConsoleSize", 42},
    Gate{"container.create", "HostConfig.Mounts[].BindOptions.CreateMountpoint", 42},
    Gate{"container.create", "HostConfig.Annotations", 43},
    Gate{"container.create", "Healthcheck.StartInterval", 44},
    Gate{"container.create", "HostConfig.Mounts[].BindOptions.ReadOnlyNonRecursive", 44},
    Gate{"container.create", "HostConfig.Mounts[].BindOptions.ReadOnlyForceRecursive", 44},
    Gate{"container.create", "HostConfig.Mounts[].VolumeOptions.Subpath", 45},
    Gate{"exec.create", "ConsoleSize", 42},
    Gate{"exec.start", "ConsoleSize", 42},
};

constexpr std::array kOptionGates = {
    Gate{"container.create", "platform", 41},
    Gate{"container.logs", "until", 35},
    Gate{"container.stop", "signal", 42},
    Gate{"container.wait", "condition", 30},
    Gate{"image.inspect", "manifests", 48},
    Gate{"image.inspect", "platform", 49},
    Gate{"image.list", "manifests", 47},
    Gate{"image.list", "shared-size", 42},
    Gate{"image.pull", "platform", 32},
    Gate{"image.load", "platform", 48},
    Gate{"image.remove", "platforms", 50},
    Gate{"image.history", "platform", 48},
    Gate{"image.push", "platform", 46},
    Gate{"image.save", "platform", 48},
    Gate{"system.df", "type", 42},
};

template <size_t N>
void apply_gates(const std::array<Gate, N>& gates, std::string_view op, int minor, Json& document) {
  for (const Gate& gate : gates) {
    if (gate.op == op && minor < gate.since) remove_path(document, gate.path);
  }
}

Status check_mount_types(int minor, const Json& config) {
  const Json& host = config["HostConfig"];
  if (minor >= 48 || !host.isObject() || !host["Mounts"].isArray()) return {};
  for (const Json& mount : host["Mounts"]) {
    if (mount.isObject() && mount["Type"] == "image")
      return invalid_argument("Mount type \"Image\" needs API v1.48 or newer");
  }
  return {};
}

void normalise_create(int minor, Json& config) {
  Json& host = config["HostConfig"];
  if (!host.isObject()) host = json_object();
  // Version 1.42 took the field away.
  if (minor >= 42) host.removeMember("KernelMemory");
  // What Moby's clients send for "no limit" is not kept.
  if (host.isMember("PidsLimit") && host["PidsLimit"].isInt64() && host["PidsLimit"].asInt64() <= 0) {
    host.removeMember("PidsLimit");
  }
  if (host.isMember("MemorySwappiness") && host["MemorySwappiness"] == -1)
    host.removeMember("MemorySwappiness");
  // Until 1.40 containers shared their IPC namespace by default.
  if (minor < 40 && (!host["IpcMode"].isString() || host["IpcMode"].asString().empty()))
    host["IpcMode"] = "shareable";
  if (minor < 44) ask_for_flat_read_only(host);
}

// Moby passes over filters of events that it does not know.
void normalise_events(Json& options) {
  static constexpr std::array<std::string_view, 14> kKnown = {
      "config", "container", "daemon", "event",  "image",   "label", "network",
      "node",   "plugin",    "scope",  "secret", "service", "type",  "volume"};
  if (!options.isMember("filters")) return;
  Json& filters = options["filters"];
  for (const std::string& name : filters.getMemberNames()) {
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) filters.removeMember(name);
  }
}

Status normalise_logs(Json& options) {
  // Moby takes the 0 of its older clients for "no end".
  if (options.isMember("until") && options["until"] == "1970-01-01T00:00:00Z") options.removeMember("until");
  const auto is_on = [&](const char* name) { return options.isMember(name) && options[name].asBool(); };
  if (is_on("stdout") || is_on("stderr")) return {};
  return invalid_argument("Bad parameters: you must choose at least one stream");
}

// Until 1.41 `filter=x` was the way to ask for a reference.
void normalise_image_list(int minor, const QueryItems& query, Json& options) {
  if (minor >= 41) return;
  for (const auto& [name, value] : query) {
    if (name == "filter" && !value.empty()) options["filters"]["reference"].append(value);
  }
}

// To Moby a pull without a tag is one of all tags.
Status normalise_pull(Json& options) {
  const std::string name = options["fromImage"].isString() ? options["fromImage"].asString() : "";
  if (name.empty()) return invalid_argument("images/create: fromImage is missing");
  const bool has_tag =
      name.rfind(':') != std::string::npos && name.find('/', name.rfind(':')) == std::string::npos;
  const bool has_own_tag = options["tag"].isString() && !options["tag"].asString().empty();
  if (!has_tag && !has_own_tag) options["all-tags"] = true;
  return {};
}

// To Moby a push without a tag is one of all tags. It knows no index.
void normalise_push(Json& options) {
  options.removeMember("index");
  if (!options["tag"].isString() || options["tag"].asString().empty()) options["all-tags"] = true;
}

// Until 1.41 a prune took all that nobody uses.
void normalise_volume_prune(int minor, Json& options) {
  if (minor >= 42) return;
  Json& filters = options["filters"];
  if (!filters.isObject()) filters = json_object();
  filters["all"] = json_array();
  filters["all"].append("true");
}

}  // namespace

Status normalise_request(const api::OpInfo& op, int minor, const QueryItems& query, Json& options,
                         Json& config) {
  if (options.isMember("filters")) POUCH_RETURN_IF_ERROR(normalise_filters(options["filters"]));
  apply_gates(kOptionGates, op.name, minor, options);
  if (const SchemaInfo* schema = config_schema(op.name); schema != nullptr) {
    normalise_document(*schema, config);
    apply_gates(kConfigGates, op.name, minor, config);
  }
  if (op.name == "container.create" && config.isObject()) {
    normalise_create(minor, config);
    POUCH_RETURN_IF_ERROR(check_mount_types(minor, config));
  }
  if (op.name == "volume.prune") normalise_volume_prune(minor, options);
  if (op.name == "system.events") normalise_events(options);
  if (op.name == "container.logs") return normalise_logs(options);
  if (op.name == "image.pull") return normalise_pull(options);
  if (op.name == "image.push") normalise_push(options);
  if (op.name == "image.list") normalise_image_list(minor, query, options);
  return {};
}

}  // namespace pouch::bridge
