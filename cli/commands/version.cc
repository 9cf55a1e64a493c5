#include <sys/utsname.h>

#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/format/human.h"
#include "cli/format/listing.h"

namespace pouch::cli {
namespace {

constexpr size_t kLabelWidth = 19;  // of the lines of version

std::string architecture() {
  utsname name{};
  ::uname(&name);
  const std::string machine = name.machine;
  if (machine == "x86_64") return "amd64";
  return machine == "aarch64" ? "arm64" : machine;
}

Json::Value client_version(const std::string& uri) {
  Json::Value out;
  out["Version"] = POUCH_VERSION;
  out["LibraryVersion"] = pouch_version();
  out["Os"] = "linux";
  out["Arch"] = architecture();
  out["Host"] = uri;
  return out;
}

// " Version:           1.0", nothing when there is no value.
void add_line(std::string& out, size_t indent, const std::string& label, const std::string& value) {
  if (value.empty()) return;
  std::string left = label + ":";
  left.append(left.size() < kLabelWidth ? kLabelWidth - left.size() : 1, ' ');
  out += std::string(indent, ' ') + left + sanitised(value) + "\n";
}

std::string client_text(const Json::Value& client) {
  std::string out = "Client:\n";
  add_line(out, 1, "Version", json_string(client, "Version"));
  add_line(out, 1, "Library", json_string(client, "LibraryVersion"));
  add_line(out, 1, "OS/Arch", json_string(client, "Os") + "/" + json_string(client, "Arch"));
  add_line(out, 1, "Engine address", json_string(client, "Host"));
  return out;
}

std::string server_text(const Json::Value& server) {
  std::string out = "\nServer:";
  const std::string platform = json_string(server["Platform"], "Name");
  out += platform.empty() ? "\n" : " " + sanitised(platform) + "\n";
  std::string api = json_string(server, "ApiVersion");
  const std::string least = json_string(server, "MinAPIVersion");
  if (!least.empty()) api += " (minimum version " + least + ")";
  out += " Engine:\n";
  add_line(out, 2, "Version", json_string(server, "Version"));
  add_line(out, 2, "API version", api);
  add_line(out, 2, "Git commit", json_string(server, "GitCommit"));
  add_line(out, 2, "Built", json_string(server, "BuildTime"));
  add_line(out, 2, "OS/Arch", json_string(server, "Os") + "/" + json_string(server, "Arch"));
  add_line(out, 2, "Experimental", server["Experimental"].asBool() ? "true" : "false");
  for (const Json::Value& component : server["Components"]) {
    const std::string name = json_string(component, "Name");
    if (name == "Engine") continue;
    out += " " + sanitised(name) + ":\n";
    add_line(out, 2, "Version", json_string(component, "Version"));
    add_line(out, 2, "GitCommit", json_string(component["Details"], "GitCommit"));
  }
  return out;
}

std::string joined(const Json::Value& list) {
  std::string out;
  for (const Json::Value& item : list) out += (out.empty() ? "" : " ") + item.asString();
  return out;
}

std::string keys(const Json::Value& object) {
  std::string out;
  for (const std::string& key : object.isObject() ? object.getMemberNames() : Words()) {
    out += (out.empty() ? "" : " ") + key;
  }
  return out;
}

void add_fact(std::string& out, size_t indent, const std::string& label, const std::string& value) {
  out += std::string(indent, ' ') + label + ": " + sanitised(value) + "\n";
}

void add_counts(std::string& out, const Json::Value& info) {
  add_fact(out, 1, "Containers", info["Containers"].asString());
  add_fact(out, 2, "Running", info["ContainersRunning"].asString());
  add_fact(out, 2, "Paused", info["ContainersPaused"].asString());
  add_fact(out, 2, "Stopped", info["ContainersStopped"].asString());
  add_fact(out, 1, "Images", info["Images"].asString());
}

void add_engine(std::string& out, const Json::Value& info) {
  add_fact(out, 1, "Server Version", json_string(info, "ServerVersion"));
  add_fact(out, 1, "Storage Driver", json_string(info, "Driver"));
  for (const Json::Value& pair : info["DriverStatus"]) {
    add_fact(out, 2, pair[0].asString(), pair[1].asString());
  }
  add_fact(out, 1, "Logging Driver", json_string(info, "LoggingDriver"));
  add_fact(out, 1, "Cgroup Driver", json_string(info, "CgroupDriver"));
  if (info.isMember("CgroupVersion")) add_fact(out, 1, "Cgroup Version", json_string(info, "CgroupVersion"));
  out += " Plugins:\n";
  for (const char* kind : {"Volume", "Network", "Log"}) add_fact(out, 2, kind, joined(info["Plugins"][kind]));
  add_fact(out, 1, "Swarm", json_string(info["Swarm"], "LocalNodeState"));
  add_fact(out, 1, "Runtimes", keys(info["Runtimes"]));
  add_fact(out, 1, "Default Runtime", json_string(info, "DefaultRuntime"));
  add_fact(out, 1, "containerd version", json_string(info["ContainerdCommit"], "ID"));
  add_fact(out, 1, "runc version", json_string(info["RuncCommit"], "ID"));
  out += " Security Options:\n";
  for (const Json::Value& option : info["SecurityOptions"]) out += "  " + sanitised(option.asString()) + "\n";
}

void add_host(std::string& out, const Json::Value& info) {
  add_fact(out, 1, "Kernel Version", json_string(info, "KernelVersion"));
  add_fact(out, 1, "Operating System", json_string(info, "OperatingSystem"));
  add_fact(out, 1, "OSType", json_string(info, "OSType"));
  add_fact(out, 1, "Architecture", json_string(info, "Architecture"));
  add_fact(out, 1, "CPUs", info["NCPU"].asString());
  add_fact(out, 1, "Total Memory", human_bytes(info["MemTotal"].asDouble()));
  add_fact(out, 1, "Name", json_string(info, "Name"));
  add_fact(out, 1, "ID", json_string(info, "ID"));
  add_fact(out, 1, "Root Dir", json_string(info, "DockerRootDir"));
}

std::string info_text(const Json::Value& info, const std::string& uri) {
  std::string out = client_text(client_version(uri)) + "\nServer:\n";
  add_counts(out, info);
  add_engine(out, info);
  add_host(out, info);
  return out;
}

// --format of version and info: "json" or a template.
std::string formatted(const std::string& format, const Json::Value& data) {
  if (format == "json") return to_text(data) + "\n";
  return execute_format(parse_format(format), data) + "\n";
}

}  // namespace

int version_command(Context& context, const Invocation& invocation) {
  std::string format;
  Options options(invocation.command, "", "Show the version information", {0, 0});
  options.text("-f, --format", &format, "string", "'json' or a Go template");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  Client& client = context.client();
  Json::Value version;
  version["Client"] = client_version(client.uri());
  // What is known without the engine is told even if it does not answer.
  if (format.empty()) context.console().out(client_text(version["Client"]));
  version["Server"] = client.call("system.version");
  // Templates of Docker's users write it so.
  if (format != "json") version["Server"]["APIVersion"] = version["Server"]["ApiVersion"];
  context.console().out(format.empty() ? server_text(version["Server"]) : formatted(format, version));
  return 0;
}

int info_command(Context& context, const Invocation& invocation) {
  std::string format;
  Options options(invocation.command, "", "Display system-wide information", {0, 0});
  options.text("-f, --format", &format, "string", "'json' or a Go template");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  Client& client = context.client();
  Json::Value info = client.call("system.info");
  if (format.empty()) {
    context.console().out(info_text(info, client.uri()));
    for (const Json::Value& warning : info["Warnings"])
      context.console().err_line(sanitised(warning.asString()));
    return 0;
  }
  info["ClientInfo"] = client_version(client.uri());
  context.console().out(formatted(format, info));
  return 0;
}

}  // namespace pouch::cli
