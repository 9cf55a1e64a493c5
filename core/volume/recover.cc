// What engines that died left half-done, and what ended runs left mounted.

#include <filesystem>
#include <optional>
#include <string>

#include "core/base/log.h"
#include "core/volume/volume_manager.h"

namespace pouch {

using volume::VolumeRow;

namespace {

// Who is at the end of a use; nothing when the use is gone.
Result<std::optional<std::string>> ender_of(store::Session& session, const std::string& key) {
  POUCH_ASSIGN_OR_RETURN(
      store::Statement found,
      session.prepare("SELECT json_extract(data_json, '$.ender') FROM intents WHERE kind = "
                      "'volume-use' AND key = ?1"));
  found.bind(key);
  POUCH_ASSIGN_OR_RETURN(const bool any, found.step());
  return any ? std::optional<std::string>(found.text(0)) : std::nullopt;
}

}  // namespace

Status VolumeManager::drop(store::Transaction& transaction, const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(const auto row, volume::load_volume(transaction, name));
  if (!row) return {};
  POUCH_RETURN_IF_ERROR(
      volume::set_state(transaction, name, row->state, volume::state::kDropping, context_.owner_token)
          .status());
  // Of one that was not made yet nobody was told.
  return row->is_settled() ? append_event(transaction, *row, "destroy") : Status();
}

Status VolumeManager::remove_dropped(const std::string& name, const Call& call) {
  const auto row = load(name);
  if (row.code() == Code::kNotFound) return {};
  if (!row.is_ok()) {
    sweeper_.note_end(name, row.status());
    return row.status();
  }
  return row->state == volume::state::kDropping ? finish_removal(*row, call) : Status();
}

// One that was being made is unmade: nobody was told of it. One that was being removed is removed.
Status VolumeManager::recover_volume(const std::string& name, const Call& call) {
  VolumeRow row;
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kBootScoped, call));
    POUCH_ASSIGN_OR_RETURN(const auto there, volume::load_volume(transaction, name));
    if (!there || there->is_settled()) return {};
    row = *there;
    // One ends it, whoever looks; a failed create is ended by its own engine.
    const bool is_ours = row.owner == context_.owner_token && row.state == volume::state::kCreating;
    if (!is_ours && !is_left(row)) return {};
    // Its container's recovery does it.
    POUCH_ASSIGN_OR_RETURN(const auto users, volume::users_of(transaction, name));
    if (!users.empty()) return {};
    const bool is_unmade = row.state == volume::state::kCreating;
    const std::string next = is_unmade ? volume::state::kDropping : row.state;
    POUCH_RETURN_IF_ERROR(
        volume::set_state(transaction, name, row.state, next, context_.owner_token).status());
    POUCH_RETURN_IF_ERROR(transaction.commit());
    row.state = next;
  }
  return finish_removal(row, call);
}

Status VolumeManager::recover_volumes(const Call& call) {
  std::vector<VolumeRow> rows;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(rows, volume::all_volumes(snapshot, true));
  }
  Status first;
  for (const VolumeRow& row : rows) {
    const bool is_due = !row.is_settled() && is_left(row);
    const Status done = is_due ? recover_volume(row.name, call) : Status();
    if (first.is_ok()) first = done;
  }
  return first;
}

// Unmounted before it is forgotten, and by one: a plugin counts. Who comes meanwhile has written its use
// down, or waits for the lock and mounts again.
Status VolumeManager::end_use(const volume::UseRow& use, const Call& call) {
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kBootScoped, call));
    POUCH_ASSIGN_OR_RETURN(const auto ender, ender_of(transaction, use.key));
    const bool is_free = ender && (ender->empty() || *ender == context_.owner_token || is_orphan(*ender));
    if (!is_free) return {};
    POUCH_RETURN_IF_ERROR(
        transaction
            .run("UPDATE intents SET data_json = json_set(data_json, '$.ender', ?2) WHERE kind = "
                 "'volume-use' AND key = ?1",
                 use.key, context_.owner_token)
            .status());
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  const auto row = load(use.volume);
  if (!row.is_ok() && row.code() != Code::kNotFound) return row.status();
  std::shared_ptr<volume::Driver> driver;
  if (row.is_ok()) {
    POUCH_ASSIGN_OR_RETURN(driver, driver_of(row->driver, call));
    POUCH_RETURN_IF_ERROR(driver->unpublish(*row, use.user, call));
  }
  POUCH_ASSIGN_OR_RETURN(const sys::FileLock held, lock(use.volume, call));
  if (driver) {
    bool is_last = false;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
      POUCH_ASSIGN_OR_RETURN(const bool others, volume::has_other_uses(snapshot, use.volume, use.key));
      is_last = !others;
    }
    if (is_last) POUCH_RETURN_IF_ERROR(driver->unstage(*row, call));
  }
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(volume::drop_use(transaction, use.key));
  return transaction.commit();
}

Status VolumeManager::end_uses(const Call& call) {
  std::vector<volume::UseRow> ended;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(ended, volume::ended_uses(snapshot, context_.boot_id));
  }
  Status first;
  for (const volume::UseRow& use : ended) {
    const Status done = end_use(use, call);
    if (first.is_ok()) first = done;
  }
  return first;
}

// A power cut may take a row that was not synced and leave its folder. The row that is made for it keeps
// others from making a volume of the name meanwhile.
Status VolumeManager::drop_stray_folders() {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(local_->folder(), error), end; !error && at != end;
       at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  const Call call{Deadline::after_ms(60'000), nullptr, {}};
  for (const std::string& name : names) {
    const auto row = load(name);
    if (row.code() != Code::kNotFound) continue;
    VolumeRow stray;
    stray.name = name;
    stray.driver = "local";
    stray.state = volume::state::kDropping;
    stray.owner = context_.owner_token;
    stray.created = Timestamp::now();
    POUCH_ASSIGN_OR_RETURN(const auto there, insert_new(stray, {}, call));
    if (there) continue;
    log_warning("volume", "a folder without a volume is removed: " + name);
    POUCH_RETURN_IF_ERROR(finish_removal(stray, call));
  }
  return {};
}

Status VolumeManager::sweep(const Call& call) {
  Status first = end_uses(call);
  const bool is_keeper = context_.options.role == EngineRole::kKeeper;
  if (is_keeper && !has_looked_.exchange(true)) {
    const Status dropped = drop_stray_folders();
    if (first.is_ok()) first = dropped;
  }
  const Status recovered = recover_volumes(call);
  return first.is_ok() ? recovered : first;
}

}  // namespace pouch
