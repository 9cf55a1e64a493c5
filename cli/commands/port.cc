#include <algorithm>
#include <tuple>

#include "cli/commands/commands.h"
#include "cli/commands/common.h"

namespace pouch::cli {
namespace {

/// A container's port, "80/tcp", and one of the host that leads there.
struct Line {
  std::string port;
  std::string host;

  auto order() const { return std::tuple(std::atoi(port.c_str()), port); }
};

std::string host_text(const Json::Value& binding) {
  const std::string address = json_string(binding, "HostIp");
  const bool is_v6 = address.find(':') != std::string::npos;
  return (is_v6 ? "[" + address + "]" : address) + ":" + json_string(binding, "HostPort");
}

std::vector<Line> lines_of(const Json::Value& ports) {
  std::vector<Line> lines;
  for (const std::string& port : ports.getMemberNames()) {
    for (const Json::Value& binding : ports[port]) lines.push_back({port, host_text(binding)});
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const Line& a, const Line& b) { return a.order() < b.order(); });
  return lines;
}

}  // namespace

int port_command(Context& context, const Invocation& invocation) {
  Options options(invocation.command, "CONTAINER [PRIVATE_PORT[/PROTO]]",
                  "List port mappings or a specific mapping for the container", {1, 2});
  const std::optional<Words> words = options.parse(invocation.args);
  if (!words) {
    context.console().out(options.help());
    return 0;
  }
  const Json::Value found = context.client().call("container.inspect", {words->front()});
  const std::vector<Line> lines = lines_of(found["NetworkSettings"]["Ports"]);
  if (words->size() == 1) {
    for (const Line& line : lines) context.console().out_line(sanitised(line.port + " -> " + line.host));
    return 0;
  }
  std::string wanted = words->back();
  if (wanted.find('/') == std::string::npos) wanted += "/tcp";
  bool any = false;
  for (const Line& line : lines) {
    if (line.port != wanted) continue;
    any = true;
    context.console().out_line(sanitised(line.host));
  }
  if (!any) throw Exit(kExitError, "Error: No public port '" + wanted + "' published for " + words->front());
  return 0;
}

}  // namespace pouch::cli
