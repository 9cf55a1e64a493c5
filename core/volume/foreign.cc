// Volumes that plugins have and no row knows: somebody else has made them. They are shown, used and removed
// as others.

#include <algorithm>

#include "core/base/log.h"
#include "core/plugin/plugin_client.h"
#include "core/volume/volume_manager.h"

namespace pouch {

using volume::VolumeRow;

namespace {

VolumeRow foreign_row(const std::string& name, const std::string& driver) {
  VolumeRow row;
  row.name = name;
  row.driver = driver;
  return row;
}

}  // namespace

std::vector<VolumeRow> VolumeManager::foreign_volumes(const Call& call) {
  std::vector<VolumeRow> out;
  for (const std::string& plugin : plugin::list_plugins({})) {
    const auto driver = driver_of(plugin, call);
    if (!driver.is_ok()) continue;  // it is no volume driver, or not there now
    const auto names = (*driver)->list(call);
    if (!names.is_ok()) {
      log_warning("volume", "list the volumes of plugin " + plugin + ": " + names.status().message());
      continue;
    }
    for (const std::string& name : *names) {
      if (load(name).code() == Code::kNotFound) out.push_back(foreign_row(name, plugin));
    }
  }
  return out;
}

std::optional<VolumeRow> VolumeManager::find_foreign(const std::string& name, const Call& call) {
  for (const std::string& plugin : plugin::list_plugins({})) {
    const auto driver = driver_of(plugin, call);
    if (!driver.is_ok()) continue;
    const auto has = (*driver)->has(name, call);
    if (has.is_ok() && *has) return foreign_row(name, plugin);
  }
  return {};
}

Status VolumeManager::remove_foreign(const VolumeRow& row, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const auto driver, driver_of(row.driver, call));
  POUCH_RETURN_IF_ERROR(driver->remove(row, call).prefix("remove " + row.name));
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_RETURN_IF_ERROR(append_event(transaction, row, "destroy"));
  return transaction.commit();
}

}  // namespace pouch
