#include "core/ctrd/introspection.h"

#include "core/base/text.h"
#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"
#include "introspection.pb.h"

namespace pouch::ctrd {
namespace {

namespace pb = containerd::services::introspection::v1;

PluginInfo plugin_from(const pb::Plugin& message) {
  PluginInfo plugin;
  plugin.type = message.type();
  plugin.id = message.id();
  plugin.exports = labels_from(message.exports());
  plugin.capabilities = {message.capabilities().begin(), message.capabilities().end()};
  if (message.has_init_err()) {
    plugin.init_error = message.init_err().message().empty() ? "unknown" : message.init_err().message();
  }
  return plugin;
}

}  // namespace

Result<std::vector<PluginInfo>> Introspection::plugins(const Call& call, const Filters& filters) const {
  pb::PluginsRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  pb::PluginsResponse response;
  const Rpc rpc{.path = "/containerd.services.introspection.v1.Introspection/Plugins",
                .name = "introspection.plugins"};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  std::vector<PluginInfo> plugins;
  for (const pb::Plugin& message : response.plugins()) plugins.push_back(plugin_from(message));
  return plugins;
}

Result<PluginInfo> Introspection::plugin(const Call& call, const std::string& type,
                                         const std::string& id) const {
  POUCH_ASSIGN_OR_RETURN(const std::vector<PluginInfo> all,
                         plugins(call, {"type==" + quote(type) + ",id==" + quote(id)}));
  const std::string what = "containerd: plugin " + quote(type + "." + id);
  if (all.empty()) return not_found(what + " is absent");
  if (!all.front().is_ok()) return not_found(what + " failed to start: " + all.front().init_error);
  return all.front();
}

Result<std::string> Introspection::server_uuid(const Call& call) const {
  pb::ServerResponse response;
  const Rpc rpc{.path = "/containerd.services.introspection.v1.Introspection/Server",
                .name = "introspection.server"};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, wire::Empty(), response));
  return response.uuid();
}

}  // namespace pouch::ctrd
