#pragma once

#include <string>
#include <vector>

#include "core/api/json.h"
#include "core/base/cancel.h"
#include "core/base/status.h"

namespace pouch::plugin {

/// Where Docker's plugins that are no containers say where they are; the first folder has their sockets.
struct PluginFolders {
  std::string sockets = "/run/docker/plugins";
  std::vector<std::string> specs = {"/etc/docker/plugins", "/usr/lib/docker/plugins"};
};

/// A plugin's address: a unix socket, or a host and port.
struct PluginAddress {
  std::string socket;
  std::string host;
  std::string port;
};

/// Of "unix:///path" or "tcp://host:port". InvalidArgument; NotImplemented for TLS.
Result<PluginAddress> parse_plugin_address(const std::string& text);
/// By a socket NAME.sock, or a file NAME.spec or NAME.json that has the address; each also in a folder NAME.
/// NotFound when there is none.
Result<PluginAddress> find_plugin(const PluginFolders& folders, const std::string& name);

/// The names of all plugins that are found there, each once, in order. Whether they answer is another matter.
std::vector<std::string> list_plugins(const PluginFolders& folders);

/// Where the plugin is, which says that it is of that kind ("VolumeDriver", "NetworkDriver", "IpamDriver").
/// NotFound when there is none of the name, or it is of other kinds.
Result<PluginAddress> activate_plugin(const PluginFolders& folders, const std::string& name,
                                      const std::string& kind, const Call& call);

/// Calls a method of the plugin ("VolumeDriver.Create"); its answer. What it refuses (Err, or "Error") is
/// Internal, a method that it does not know NotFound, a plugin that cannot be reached Unavailable.
Result<Json> call_plugin(const PluginAddress& address, const std::string& method, const Json& request,
                         const Call& call);

/// A text of an answer; "" when there is none of the name.
std::string text(const Json& object, const char* name);

/// The body of an HTTP/1.1 answer, whole or in chunks, and its status. InvalidArgument.
struct PluginAnswer {
  int status = 0;
  std::string body;
};
Result<PluginAnswer> parse_plugin_answer(const std::string& text);

}  // namespace pouch::plugin
