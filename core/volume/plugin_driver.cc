#include "core/volume/plugin_driver.h"

#include "core/base/text.h"

namespace pouch::volume {

using plugin::call_plugin;
using plugin::PluginAddress;
using plugin::PluginFolders;

namespace {

Json request_for(const VolumeRow& row) {
  Json out = json_object();
  out["Name"] = row.name;
  return out;
}

// The same for both of a use, whoever ends it.
std::string id_of(const VolumeUser& user) {
  return user.container.str() + "." + std::to_string(user.generation);
}

}  // namespace

Result<PluginDriver> PluginDriver::open(const PluginFolders& folders, const std::string& name,
                                        const Call& call) {
  POUCH_ASSIGN_OR_RETURN(PluginAddress address, plugin::activate_plugin(folders, name, "VolumeDriver", call));
  PluginDriver driver(std::move(address));
  // Optional: without it a plugin is of this host.
  const auto answer = call_plugin(driver.address_, "VolumeDriver.Capabilities", json_object(), call);
  if (answer.is_ok() && (*answer)["Capabilities"].isObject() &&
      (*answer)["Capabilities"]["Scope"] == "global")
    driver.scope_ = "global";
  return driver;
}

Status PluginDriver::check(const VolumeRow& /*row*/) const {
  return {};
}

Status PluginDriver::create(const VolumeRow& row, const Call& call) {
  Json request = request_for(row);
  request["Opts"] = json_object();
  for (const auto& [name, value] : row.options.value_or(Texts{})) request["Opts"][name] = value;
  return call_plugin(address_, "VolumeDriver.Create", request, call).status();
}

Status PluginDriver::remove(const VolumeRow& row, const Call& call) {
  const Status removed = call_plugin(address_, "VolumeDriver.Remove", request_for(row), call).status();
  if (removed.is_ok()) return {};
  // Of one that is gone already, by a removal that was broken off, plugins say all kinds of things.
  const auto there = call_plugin(address_, "VolumeDriver.Get", request_for(row), call);
  return there.code() == Code::kInternal ? Status() : removed;
}

Result<std::string> PluginDriver::locate(const VolumeRow& row, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const Json answer,
                         call_plugin(address_, "VolumeDriver.Path", request_for(row), call));
  return plugin::text(answer, "Mountpoint");
}

Result<std::vector<std::string>> PluginDriver::list(const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const Json answer, call_plugin(address_, "VolumeDriver.List", json_object(), call));
  std::vector<std::string> names;
  if (!answer["Volumes"].isArray()) return names;
  for (const Json& each : answer["Volumes"]) {
    const std::string name = plugin::text(each, "Name");
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

Result<bool> PluginDriver::has(const std::string& name, const Call& call) {
  VolumeRow row;
  row.name = name;
  const auto there = call_plugin(address_, "VolumeDriver.Get", request_for(row), call);
  // Of one that is not there plugins say all kinds of things.
  if (there.code() == Code::kInternal) return false;
  if (!there.is_ok()) return there.status();
  return (*there)["Volume"].isObject();
}

Result<std::string> PluginDriver::publish(const VolumeRow& row, const VolumeUser& user, const Call& call) {
  Json request = request_for(row);
  request["ID"] = id_of(user);
  POUCH_ASSIGN_OR_RETURN(const Json answer, call_plugin(address_, "VolumeDriver.Mount", request, call));
  const std::string place = plugin::text(answer, "Mountpoint");
  if (place.empty() || place.front() != '/')
    return Status(Code::kInternal, "VolumeDriver.Mount: no mountpoint was given");
  return place;
}

Status PluginDriver::unpublish(const VolumeRow& row, const VolumeUser& user, const Call& call) {
  Json request = request_for(row);
  request["ID"] = id_of(user);
  return call_plugin(address_, "VolumeDriver.Unmount", request, call).status();
}

}  // namespace pouch::volume
