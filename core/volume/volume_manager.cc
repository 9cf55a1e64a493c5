#include "core/volume/volume_manager.h"

#include <mutex>
#include <utility>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/events/event_log.h"
#include "core/volume/list_filter.h"
#include "core/volume/plugin_driver.h"

namespace pouch {

using volume::VolumeRow;

namespace {

constexpr int64_t kSweepMs = 60'000;
constexpr const char* kLocal = "local";

}  // namespace

VolumeManager::VolumeManager(EngineContext& context)
    : context_(context),
      local_(std::make_shared<volume::LocalDriver>(context.root_dir() + "/volumes")),
      sweeper_({"volume", "unmount what ended containers left",
                [this] {
                  return sweep(Call{Deadline::after_ms(kSweepMs), nullptr, {}});
                },
                [this](std::function<void()> work) { context_.executor->submit(std::move(work)); }}) {}

VolumeManager::~VolumeManager() {
  close();
}

void VolumeManager::close() {
  sweeper_.close();
}

bool VolumeManager::is_left(const VolumeRow& row) const {
  if (row.owner != context_.owner_token) return is_orphan(row.owner);
  return sweeper_.is_abandoned(row.name);
}

void VolumeManager::sweep_soon() {
  sweeper_.soon();
}

std::shared_ptr<volume::Driver> VolumeManager::known_driver(const std::string& name) {
  if (name.empty() || name == kLocal) return local_;
  const std::lock_guard lock(plugins_mutex_);
  const auto at = plugins_.find(name);
  return at == plugins_.end() ? nullptr : at->second;
}

Result<std::shared_ptr<volume::Driver>> VolumeManager::driver_of(const std::string& name, const Call& call) {
  if (auto known = known_driver(name)) return known;
  auto plugin = volume::PluginDriver::open({}, name, call);
  if (!plugin.is_ok()) return plugin.status().prefix("error looking up volume plugin " + name);
  const std::lock_guard lock(plugins_mutex_);
  return plugins_.try_emplace(name, std::make_shared<volume::PluginDriver>(std::move(*plugin))).first->second;
}

Result<VolumeRow> VolumeManager::row_of(const WantedVolume& wanted, const volume::Driver& driver,
                                        bool is_anonymous) {
  VolumeRow row;
  row.is_anonymous = is_anonymous || wanted.name.empty();
  row.name = wanted.name.empty() ? new_object_id() : wanted.name;
  row.driver = wanted.driver.empty() ? kLocal : wanted.driver;
  if (!wanted.options.empty()) row.options = wanted.options;
  if (!wanted.labels.empty()) row.labels = wanted.labels;
  if (row.is_anonymous) {
    if (!row.labels) row.labels.emplace();
    (*row.labels)[volume::kAnonymousLabel] = "";
  }
  row.owner = context_.owner_token;
  row.state = volume::state::kCreating;
  row.created = Timestamp::now();
  POUCH_RETURN_IF_ERROR(driver.check(row).prefix("create " + row.name));
  return row;
}

Result<VolumeRow> VolumeManager::load(const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(auto row, volume::load_volume(snapshot, name));
  if (!row) return not_found("get " + name + ": no such volume");
  return std::move(*row);
}

Result<VolumeRow> VolumeManager::load_settled(const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(VolumeRow row, load(name));
  if (!row.is_settled()) return not_found("get " + name + ": no such volume");
  return row;
}

Status VolumeManager::append_event(store::Transaction& transaction, const VolumeRow& row,
                                   const std::string& action) {
  events::Event event;
  event.type = "volume";
  event.action = action;
  event.actor_id = row.name;
  event.attributes = {{"driver", row.driver}};
  return context_.events->append(transaction, std::move(event)).status();
}

api::Volume VolumeManager::describe(const VolumeRow& row) {
  api::Volume out;
  out.name = row.name;
  out.driver = row.driver;
  if (row.created != Timestamp{}) out.created_at = row.created;
  if (row.labels) out.labels = *row.labels;
  if (row.options) out.options = *row.options;
  const auto driver = known_driver(row.driver);
  out.scope = driver ? driver->scope() : "local";
  if (driver) out.mountpoint = driver->mountpoint(row);
  return out;
}

api::Volume VolumeManager::describe_whole(const VolumeRow& row, const Call& call) {
  api::Volume out = describe(row);
  if (!out.mountpoint.empty()) return out;
  const auto driver = driver_of(row.driver, call);
  if (!driver.is_ok()) return out;  // a plugin that is not there now
  out.scope = (*driver)->scope();
  const auto place = (*driver)->locate(row, call);
  if (place.is_ok()) out.mountpoint = *place;
  return out;
}

bool VolumeManager::is_orphan(const std::string& owner) const {
  return owner.empty() || (owner != context_.owner_token && !context_.is_owner_alive(owner));
}

Result<bool> VolumeManager::is_there(store::Session& session, const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(const auto row, volume::load_volume(session, name));
  return row && row->is_settled();
}

std::string VolumeManager::mountpoint(store::Session& session, const std::string& name) {
  const auto row = volume::load_volume(session, name);
  if (!row.is_ok() || !*row) return {};
  const auto driver = known_driver((*row)->driver);
  std::string place = driver ? driver->mountpoint(**row) : std::string();
  if (!place.empty()) return place;
  const auto used = volume::place_of_use(session, name);  // where a run that has it was told that it is
  return used.is_ok() ? *used : std::string();
}

}  // namespace pouch
