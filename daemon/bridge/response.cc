#include <array>

#include "daemon/bridge/bridge.h"
#include "daemon/bridge/flat_read_only.h"
#include "daemon/bridge/json_path.h"
#include "daemon/bridge/old_words.h"

namespace pouch::bridge {
namespace {

// Fields that clients of an older version must not see.
struct Gate {
  std::string_view op;
  std::string_view path;  // for a list of documents, of each
  int since;              // minor
};

constexpr std::array kGates = {
    Gate{"container.inspect", "HostConfig.Annotations", 43},
    Gate{"container.inspect", "Config.Healthcheck.StartInterval", 44},
    Gate{"container.inspect", "NetworkSettings.Networks{}.DNSNames", 44},
    Gate{"container.inspect", "NetworkSettings.Networks{}.GwPriority", 48},
    Gate{"container.inspect", "ImageManifestDescriptor", 48},
    Gate{"container.list", "NetworkSettings.Networks{}.DNSNames", 44},
    Gate{"container.list", "HostConfig.Annotations", 46},
    Gate{"container.list", "NetworkSettings.Networks{}.GwPriority", 48},
    Gate{"container.list", "ImageManifestDescriptor", 48},
    Gate{"image.inspect", "Config.Healthcheck.StartInterval", 44},
    Gate{"image.inspect", "Descriptor", 48},
    Gate{"image.inspect", "Manifests", 48},
    Gate{"image.list", "Manifests", 47},
    Gate{"image.list", "Descriptor", 48},
    Gate{"system.info", "CDISpecDirs", 44},
    Gate{"system.info", "Containerd", 46},
    Gate{"system.info", "FirewallBackend", 49},
    Gate{"system.info", "DiscoveredDevices", 50},
};

void default_member(Json& object, const char* name, const Json& value) {
  if (!object.isMember(name)) object[name] = value;
}

// Up to 1.49 the config of an image had all the fields of a container's.
void widen_image_config(Json& config) {
  if (!config.isObject()) return;
  for (const char* name : {"Hostname", "Domainname", "User", "Image", "WorkingDir"})
    default_member(config, name, "");
  for (const char* name : {"AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"}) {
    default_member(config, name, false);
  }
  for (const char* name : {"Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"}) {
    default_member(config, name, Json());
  }
}

void shape_virtual_size(int minor, Json& image) {
  if (minor < 44) {
    image["VirtualSize"] = image["Size"];
  } else {
    image.removeMember("VirtualSize");
  }
}

void shape_image_inspect(int minor, Json& image) {
  shape_virtual_size(minor, image);
  if (minor < 44) default_member(image, "Created", "0001-01-01T00:00:00Z");
  if (minor < 45) {
    default_member(image, "Container", "");
    Json config = json_object();
    widen_image_config(config);
    default_member(image, "ContainerConfig", config);
  } else {
    image.removeMember("Container");
  }
  if (minor < 50 && image.isMember("Config")) widen_image_config(image["Config"]);
}

// Lists that Moby never sends as null; before 1.43 an image without names had a placeholder.
void shape_image_names(int minor, Json& image, const char* field, const char* placeholder) {
  Json& names = image[field];
  if (!names.isArray()) names = json_array();
  if (minor < 43 && names.empty()) names.append(placeholder);
}

void shape_image_summary(int minor, Json& image) {
  shape_virtual_size(minor, image);
  shape_image_names(minor, image, "RepoTags", "<none>:<none>");
  shape_image_names(minor, image, "RepoDigests", "<none>@<none>");
}

void fill(Json& object, std::initializer_list<const char*> names, const Json& value) {
  for (const char* name : names) default_member(object, name, value);
}

// Moby's clients take the fields of an endpoint for granted.
void fill_endpoints(Json& settings) {
  if (!settings.isObject() || !settings["Networks"].isObject()) return;
  for (Json& endpoint : settings["Networks"]) {
    fill(endpoint, {"IPAMConfig", "Links", "Aliases", "DriverOpts", "DNSNames"}, Json());
    fill(
        endpoint,
        {"NetworkID", "EndpointID", "Gateway", "IPAddress", "IPv6Gateway", "GlobalIPv6Address", "MacAddress"},
        "");
    fill(endpoint, {"IPPrefixLen", "GlobalIPv6PrefixLen", "GwPriority"}, 0);
  }
}

// What nobody asked for is there too: null, or zero.
void fill_host_config(int minor, Json& host) {
  fill(host,
       {"Binds",
        "VolumesFrom",
        "CapAdd",
        "CapDrop",
        "Dns",
        "DnsOptions",
        "DnsSearch",
        "ExtraHosts",
        "GroupAdd",
        "Links",
        "SecurityOpt",
        "BlkioWeightDevice",
        "Devices",
        "DeviceCgroupRules",
        "DeviceRequests",
        "PidsLimit",
        "MemorySwappiness",
        "OomKillDisable",
        "Ulimits",
        "MaskedPaths",
        "ReadonlyPaths",
        "BlkioDeviceReadBps",
        "BlkioDeviceWriteBps",
        "BlkioDeviceReadIOps",
        "BlkioDeviceWriteIOps"},
       Json());
  if (!host.isMember("ConsoleSize")) {
    host["ConsoleSize"].append(0);
    host["ConsoleSize"].append(0);
  }
  if (minor < kNewWordsMinor) fill(host, {"KernelMemory", "KernelMemoryTCP"}, 0);
}

void shape_container_inspect(int minor, Json& container) {
  if (container["HostConfig"].isObject()) fill_host_config(minor, container["HostConfig"]);
  fill_endpoints(container["NetworkSettings"]);
  if (Json& config = container["Config"]; config.isObject()) {
    if (config.isMember("Volumes") && config["Volumes"].empty()) config["Volumes"] = Json();
    fill(config, {"Cmd", "Entrypoint", "OnBuild", "Volumes"}, Json());
  }
  if (Json& state = container["State"]; minor < kNewWordsMinor && state["Error"].isString()) {
    state["Error"] = old_words(state["Error"].asString());
  }
}

// Before 1.42 an exec that could not be started had always ended with 126.
void shape_exec_inspect(int minor, Json& exec) {
  const bool never_ran = exec["Pid"] == 0 && exec["ExitCode"] == 127;
  if (minor < kNewWordsMinor && never_ran) exec["ExitCode"] = 126;
}

void shape_info(int minor, Json& info) {
  if (minor >= kNewWordsMinor) return;
  for (Json& option : info["SecurityOptions"]) option = old_words(option.asString());
}

void shape_document(std::string_view op, int minor, Json& document) {
  if (!document.isObject()) return;
  if (op == "container.inspect") shape_container_inspect(minor, document);
  if (op == "container.list") fill_endpoints(document["NetworkSettings"]);
  if (minor < 44 && (op == "container.inspect" || op == "container.list")) hide_flat_read_only(document);
  for (const Gate& gate : kGates) {
    if (gate.op == op && minor < gate.since) remove_path(document, gate.path);
  }
  if (op == "image.inspect") shape_image_inspect(minor, document);
  if (op == "image.list") shape_image_summary(minor, document);
  if (op == "exec.inspect") shape_exec_inspect(minor, document);
  if (op == "system.info") shape_info(minor, document);
}

// The documents in it are as in the lists of their own. The cache's size was in 1.25 to 1.41 a field.
void shape_disk_usage(int minor, Json& usage) {
  for (Json& image : usage["Images"]) shape_document("image.list", minor, image);
  for (Json& container : usage["Containers"]) shape_document("container.list", minor, container);
  if (minor < 42) default_member(usage, "BuilderSize", 0);
}

// Events carry, up to 1.51, the fields of before 1.22 for containers and images.
void shape_event(Json& event) {
  const std::string type = event["Type"].asString();
  if (type != "container" && type != "image") return;
  default_member(event, "status", event["Action"]);
  default_member(event, "id", event["Actor"]["ID"]);
  const Json& attributes = event["Actor"]["Attributes"];
  if (type == "container" && attributes.isObject() && attributes.isMember("image")) {
    default_member(event, "from", attributes["image"]);
  }
}

}  // namespace

void shape_response(const api::OpInfo& op, int minor, Json& result) {
  if (op.name == "system.df") return shape_disk_usage(minor, result);
  if (!result.isArray()) return shape_document(op.name, minor, result);
  for (Json& document : result) shape_document(op.name, minor, document);
}

std::string shape_message(const api::OpInfo& op, int minor, std::string message) {
  const bool is_event = op.name == "system.events";
  const bool is_old_wait = op.name == "container.wait" && minor < 42;
  if (!is_event && !is_old_wait) return message;
  Result<Json> document = parse_json(message);
  if (!document.is_ok() || !document->isObject()) return message;
  if (is_event) shape_event(*document);
  if (is_old_wait) default_member(*document, "Error", Json());
  return write_json(*document);
}

std::string stream_content_type(const api::OpInfo& op, int minor, bool terminal, bool upgraded) {
  if (op.frames == api::OpFrames::kMessages) return "application/json";
  if (op.frames == api::OpFrames::kData) return "application/x-tar";
  const bool duplex = op.kind == api::OpKind::kDuplex;
  if (!duplex && minor < 42) return {};  // logs of the time had none
  if (terminal || minor < 42) return "application/vnd.docker.raw-stream";
  // Without an upgrade Moby says raw even for what it multiplexes.
  if (duplex && !upgraded) return "application/vnd.docker.raw-stream";
  return "application/vnd.docker.multiplexed-stream";
}

}  // namespace pouch::bridge
