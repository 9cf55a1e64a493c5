#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/format/json_text.h"
#include "cli/format/template.h"

namespace pouch::cli {
namespace {

constexpr int kExitTemplate = 64;  // as Docker's inspect ends for a template that cannot be parsed

struct InspectFlags {
  std::string type;  ///< "container", "image", "network", "volume" or "" for whatever has the name
  std::string format;
  bool size = false;
  bool verbose = false;
};

// The objects as they are found, and what to say about the others.
struct Found {
  Words documents;
  Words problems;
};

std::string inspect_container(Client& client, const std::string& name, bool size) {
  Json::Value options(Json::objectValue);
  if (size) options["size"] = true;
  return client.call_text("container.inspect", {name}, options);
}

std::string inspect_network(Client& client, const std::string& name, bool verbose) {
  Json::Value options(Json::objectValue);
  if (verbose) options["verbose"] = true;
  return client.call_text("network.inspect", {name}, options);
}

std::string inspect_any(Client& client, const std::string& name, bool size) {
  try {
    return inspect_container(client, name, size);
  } catch (const ApiError& error) {
    if (error.status() != POUCH_ERR_NOT_FOUND) throw;
  }
  try {
    return client.call_text("image.inspect", {name});
  } catch (const ApiError& error) {
    if (error.status() != POUCH_ERR_NOT_FOUND) throw;
  }
  try {
    return client.call_text("network.inspect", {name});
  } catch (const ApiError& error) {
    const bool is_unknown =
        error.status() == POUCH_ERR_NOT_FOUND || error.status() == POUCH_ERR_INVALID_ARGUMENT;
    if (!is_unknown) throw;
  }
  try {
    return client.call_text("volume.inspect", {name});
  } catch (const ApiError& error) {
    if (error.status() != POUCH_ERR_NOT_FOUND) throw;
    throw ApiError(POUCH_ERR_NOT_FOUND, "No such object: " + name);
  }
}

Found find_all(Client& client, const Words& names, const InspectFlags& flags) {
  Found found;
  for (const std::string& name : names) {
    try {
      if (flags.type == "container") {
        found.documents.push_back(inspect_container(client, name, flags.size));
      } else if (flags.type == "image") {
        found.documents.push_back(client.call_text("image.inspect", {name}));
      } else if (flags.type == "network") {
        found.documents.push_back(inspect_network(client, name, flags.verbose));
      } else if (flags.type == "volume") {
        found.documents.push_back(client.call_text("volume.inspect", {name}));
      } else {
        found.documents.push_back(inspect_any(client, name, flags.size));
      }
    } catch (const ApiError& error) {
      found.problems.emplace_back(error.what());
    }
  }
  return found;
}

std::string array_of(const Words& documents) {
  std::string out = "[";
  for (const std::string& document : documents) out += (out.size() > 1 ? "," : "") + document;
  return out + "]";
}

// Fields that documents leave out when they hold nothing, and that Docker's templates may name all the same.
Template::Defaults optional_fields() {
  Template::Defaults out;
  for (const char* list : {"Binds",
                           "BlkioDeviceReadBps",
                           "BlkioDeviceReadIOps",
                           "BlkioDeviceWriteBps",
                           "BlkioDeviceWriteIOps",
                           "BlkioWeightDevice",
                           "CapAdd",
                           "CapDrop",
                           "Cmd",
                           "ConsoleSize",
                           "DeviceCgroupRules",
                           "DeviceRequests",
                           "Devices",
                           "Dns",
                           "DnsOptions",
                           "DnsSearch",
                           "Entrypoint",
                           "Env",
                           "ExtraHosts",
                           "GroupAdd",
                           "Links",
                           "MaskedPaths",
                           "Mounts",
                           "OnBuild",
                           "ReadonlyPaths",
                           "SecurityOpt",
                           "Shell",
                           "Ulimits",
                           "VolumesFrom",
                           "Layers"}) {
    out[list] = Json::Value(Json::arrayValue);
  }
  for (const char* map :
       {"Annotations", "ExposedPorts", "Labels", "StorageOpt", "Sysctls", "Tmpfs", "Volumes"}) {
    out[map] = Json::Value(Json::objectValue);
  }
  for (const char* text : {"Cgroup", "CgroupnsMode", "Domainname", "Isolation", "MacAddress", "OsVersion",
                           "StopSignal", "User", "Variant", "VolumeDriver", "WorkingDir"}) {
    out[text] = "";
  }
  for (const char* nothing : {"Health", "Healthcheck", "Init", "MemorySwappiness", "OomKillDisable",
                              "PidsLimit", "SizeRootFs", "SizeRw", "StopTimeout"}) {
    out[nothing] = Json::Value();
  }
  return out;
}

std::string render(const InspectFlags& flags, Found& found) {
  if (flags.format.empty()) return indented_json(array_of(found.documents)) + "\n";
  if (flags.format == "json") return array_of(found.documents) + "\n";
  std::string out;
  const Template format(flags.format);
  const Template::Defaults defaults = optional_fields();
  for (const std::string& document : found.documents) {
    try {
      out += format.execute(to_json(document), {}, defaults) + "\n";
    } catch (const TemplateError& error) {
      found.problems.push_back(std::string("template parsing error: ") + error.what());
    }
  }
  return out.empty() ? "\n" : out;
}

// With `type` not empty the command knows no --type.
int inspect(Context& context, const Invocation& invocation, const std::string& type,
            const std::string& synopsis) {
  InspectFlags flags;
  flags.type = type;
  Options options(invocation.command, synopsis, "Return low-level information on objects", {.least = 1});
  options.text("-f, --format", &flags.format, "string", "'json' or a Go template");
  if (type == "network") options.flag("-v, --verbose", &flags.verbose, "Verbose output for diagnostics");
  if (type != "image" && type != "network" && type != "volume")
    options.flag("-s, --size", &flags.size, "Display total file sizes if the type is container");
  if (type.empty()) options.text("--type", &flags.type, "string", "Only inspect objects of the given type");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  const std::string& wanted = flags.type;
  const bool is_known = wanted.empty() || wanted == "container" || wanted == "image" || wanted == "network" ||
                        wanted == "volume";
  if (!is_known) {
    throw Exit(kExitError, "unknown type: \"" + wanted +
                               "\": must be one of \"container\", \"image\", \"network\", \"volume\"");
  }
  try {
    if (!flags.format.empty() && flags.format != "json") static_cast<void>(Template(flags.format));
  } catch (const TemplateError& error) {
    throw Exit(kExitTemplate, std::string("template parsing error: ") + error.what());
  }
  Found found = find_all(context.client(), *names, flags);
  context.console().out(render(flags, found));
  for (const std::string& problem : found.problems) context.console().err_line(problem);
  return found.problems.empty() ? 0 : kExitError;
}

}  // namespace

int inspect_command(Context& context, const Invocation& invocation) {
  return inspect(context, invocation, "", "NAME|ID [NAME|ID...]");
}

int inspect_container_command(Context& context, const Invocation& invocation) {
  return inspect(context, invocation, "container", "CONTAINER [CONTAINER...]");
}

int inspect_image_command(Context& context, const Invocation& invocation) {
  return inspect(context, invocation, "image", "IMAGE [IMAGE...]");
}

int network_inspect_command(Context& context, const Invocation& invocation) {
  return inspect(context, invocation, "network", "NETWORK [NETWORK...]");
}

int volume_inspect_command(Context& context, const Invocation& invocation) {
  return inspect(context, invocation, "volume", "VOLUME [VOLUME...]");
}

}  // namespace pouch::cli
