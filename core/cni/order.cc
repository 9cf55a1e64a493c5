#include "core/cni/order.h"

#include <utility>

namespace pouch::cni {

Result<Order> Order::prepare(const Plugins& plugins, const NetworkList& list, const Attachment* attachment,
                             const Call& call) {
  Order order(plugins, list, attachment, call);
  for (const Json& plugin : list.plugins) {
    POUCH_RETURN_IF_ERROR(call.check());
    POUCH_ASSIGN_OR_RETURN(std::string version,
                           plugins.choose_version(plugin["type"].asString(), list.cni_version, call));
    order.versions_.push_back(std::move(version));
  }
  return order;
}

Json Order::config(size_t index, const Outcome* previous, const Json& more) const {
  const Json& plugin = list_->plugins[index];
  Json config = plugin;
  config["name"] = list_->name;
  config["cniVersion"] = versions_[index];
  // What it can be told is said with runtimeConfig; the specification wants the offer itself left out.
  config.removeMember("capabilities");
  if (previous != nullptr) config["prevResult"] = convert_outcome(*previous, versions_[index]);
  if (attachment_ != nullptr) {
    Json taken = json_object();
    for (const std::string& name : attachment_->capabilities.getMemberNames()) {
      if (declares(plugin, name)) taken[name] = attachment_->capabilities[name];
    }
    if (!taken.empty()) config["runtimeConfig"] = std::move(taken);
  }
  for (const std::string& name : more.getMemberNames()) config[name] = more[name];
  return config;
}

Result<std::string> Order::run(size_t index, const std::string& command, const Outcome* previous,
                               const Json& more) const {
  POUCH_RETURN_IF_ERROR(call_->check());
  return plugins_->run(type(index), command, attachment_, config(index, previous, more), *call_);
}

}  // namespace pouch::cni
