// create, list, inspect, remove, prune.

#include <algorithm>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/events/event_log.h"
#include "core/store/session_objects.h"
#include "core/volume/folder_bytes.h"
#include "core/volume/list_filter.h"
#include "core/volume/volume_manager.h"

namespace pouch {

using volume::VolumeRow;

namespace {

constexpr int64_t kStepMs = 60'000;
constexpr int64_t kLookMs = 100;  // an undone create tells no event

Call own_call() {
  return Call{Deadline::after_ms(kStepMs), nullptr, {}};
}

bool is_same_driver(const std::string& wanted, const VolumeRow& row) {
  return wanted.empty() || wanted == row.driver;
}

Status driver_conflict(const VolumeRow& row) {
  return conflict("create " + row.name + ": driver '" + row.driver + "' already has volume '" + row.name +
                  "': volume name must be unique");
}

}  // namespace

Result<std::optional<VolumeRow>> VolumeManager::insert_new(const VolumeRow& wanted,
                                                           const std::string& session, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(auto there, volume::load_volume(transaction, wanted.name));
  if (there) return there;
  POUCH_RETURN_IF_ERROR(volume::insert_volume(transaction, wanted));
  POUCH_RETURN_IF_ERROR(store::claim_for_session(transaction, session, store::kind::kVolume, wanted.name));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return std::optional<VolumeRow>();
}

Status VolumeManager::finish_create(const VolumeRow& row, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_ASSIGN_OR_RETURN(const bool ours,
                         volume::set_state(transaction, row.name, volume::state::kCreating, "", ""));
  if (!ours) return internal_error("its row is gone");
  POUCH_RETURN_IF_ERROR(append_event(transaction, row, "create"));
  return transaction.commit();
}

Status VolumeManager::await_settled(const std::string& name, const Call& call) {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const int64_t seq, context_.events->last_seq());
    const auto row = load(name);
    if (row.code() == Code::kNotFound) return {};
    if (!row.is_ok()) return row.status();
    if (row->is_settled()) return {};
    if (is_left(*row)) {
      POUCH_RETURN_IF_ERROR(recover_volume(name, call));
      continue;
    }
    POUCH_RETURN_IF_ERROR(call.check());
    Call look = call;
    look.deadline = call.deadline.earlier(Deadline::after_ms(kLookMs));
    context_.events->wait_for_change(seq, look).status().ignore();
  }
}

Result<VolumeRow> VolumeManager::make(WantedVolume wanted, const std::string& session) {
  // As Moby: what a plugin has under the name is meant.
  const bool may_be_foreign =
      wanted.driver.empty() && !wanted.name.empty() && load(wanted.name).code() == Code::kNotFound;
  if (may_be_foreign) {
    if (const auto foreign = find_foreign(wanted.name, own_call())) wanted.driver = foreign->driver;
  }
  const auto driver = driver_of(wanted.driver, own_call());
  if (!driver.is_ok()) return driver.status().prefix("create " + wanted.name);
  POUCH_ASSIGN_OR_RETURN(const VolumeRow row, row_of(wanted, **driver));
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const auto there, insert_new(row, session, own_call()));
    if (!there) break;
    if (!is_same_driver(wanted.driver, *there)) return driver_conflict(*there);
    if (there->is_settled()) return *there;
    POUCH_RETURN_IF_ERROR(await_settled(row.name, own_call()));
  }
  Status made = (*driver)->create(row, own_call());
  if (made.is_ok()) made = finish_create(row, own_call());
  if (made.is_ok()) return row;
  const Status undone = recover_volume(row.name, own_call());
  sweeper_.note_end(row.name, undone);
  if (!undone.is_ok()) log_warning("volume", "undo a create: " + undone.message());
  return made.prefix("create " + row.name);
}

Result<api::Volume> VolumeManager::create(const api::VolumeCreateConfig& config, const Call& call) {
  if (config.cluster_volume_spec)
    return not_implemented("ClusterVolumeSpec is not supported: there is no swarm");
  WantedVolume wanted;
  wanted.name = config.name.value_or("");
  wanted.driver = config.driver.value_or("");
  wanted.options = config.driver_opts.value_or(volume::Texts{});
  wanted.labels = config.labels.value_or(volume::Texts{});
  using Answer = Result<api::Volume>;
  return detached<Answer>(call, [this, wanted, session = call.session]() -> Answer {
    POUCH_ASSIGN_OR_RETURN(const VolumeRow row, make(wanted, session));
    return describe_whole(row, own_call());
  });
}

Status VolumeManager::check(const WantedVolume& wanted, const Call& call) {
  const auto driver = driver_of(wanted.driver, call);
  if (!driver.is_ok()) return driver.status().prefix("create " + wanted.name);
  return row_of(wanted, **driver, true).status();
}

Result<std::string> VolumeManager::ensure(const WantedVolume& wanted, const std::string& session,
                                          const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const auto there = load(wanted.name);
  if (there.is_ok() && there->is_settled() && is_same_driver(wanted.driver, *there)) return there->driver;
  POUCH_ASSIGN_OR_RETURN(const VolumeRow row, make(wanted, session));
  return row.driver;
}

Result<std::string> VolumeManager::insert_anonymous(store::Session& session, const WantedVolume& wanted) {
  const auto driver = known_driver(wanted.driver);
  if (!driver) return not_found("create " + wanted.name + ": plugin " + quote(wanted.driver) + " not found");
  POUCH_ASSIGN_OR_RETURN(const VolumeRow row, row_of(wanted, *driver, true));
  POUCH_RETURN_IF_ERROR(volume::insert_volume(session, row));
  return row.driver;
}

Status VolumeManager::make_anonymous(const std::string& name, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const VolumeRow row, load(name));
  POUCH_ASSIGN_OR_RETURN(const auto driver, driver_of(row.driver, call));
  return driver->create(row, call).prefix("create " + name);
}

Status VolumeManager::settle_anonymous(store::Transaction& transaction, const std::string& name) {
  POUCH_ASSIGN_OR_RETURN(const auto row, volume::load_volume(transaction, name));
  POUCH_ASSIGN_OR_RETURN(const bool ours,
                         volume::set_state(transaction, name, volume::state::kCreating, "", ""));
  if (!row || !ours) return internal_error("create " + name + ": its row is gone");
  return append_event(transaction, *row, "create");
}

Result<api::VolumeListResult> VolumeManager::list(const api::VolumeListOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const auto filter, volume::ListFilter::parse(options.filters.value_or(FilterMap{})));
  std::vector<api::Volume> volumes;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto rows, volume::all_volumes(snapshot));
    for (const VolumeRow& row : rows) {
      POUCH_ASSIGN_OR_RETURN(const auto users, volume::users_of(snapshot, row.name));
      if (filter.matches(row, !users.empty())) volumes.push_back(describe(row));
    }
  }
  for (const VolumeRow& row : foreign_volumes(call)) {
    if (filter.matches(row, false)) volumes.push_back(describe_whole(row, call));
  }
  api::VolumeListResult out;
  out.volumes = std::move(volumes);
  return out;
}

Result<api::Volume> VolumeManager::inspect(const std::string& name, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const auto row = load_settled(name);
  if (row.is_ok()) return describe_whole(*row, call);
  const auto foreign = row.code() == Code::kNotFound ? find_foreign(name, call) : std::optional<VolumeRow>();
  return foreign ? describe_whole(*foreign, call) : Result<api::Volume>(row.status());
}

Status VolumeManager::claim_removal(VolumeRow& row, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(const auto found, volume::load_volume(transaction, row.name));
  if (!found || !found->is_settled()) return not_found("get " + row.name + ": no such volume");
  POUCH_ASSIGN_OR_RETURN(const auto users, volume::users_of(transaction, row.name));
  if (!users.empty())
    return conflict("remove " + row.name + ": volume is in use - [" + join(users, ", ") + "]");
  POUCH_RETURN_IF_ERROR(
      volume::set_state(transaction, row.name, "", volume::state::kRemoving, context_.owner_token).status());
  POUCH_RETURN_IF_ERROR(transaction.commit());
  row = *found;
  row.state = volume::state::kRemoving;
  return {};
}

Status VolumeManager::finish_removal(const VolumeRow& row, const Call& call, bool force) {
  const Status removed = remove_claimed(row, call, force);
  sweeper_.note_end(row.name, removed);
  return removed;
}

// Of several who are at it, after a death, one tells the end.
Status VolumeManager::remove_claimed(const VolumeRow& row, const Call& call, bool force) {
  const auto driver = driver_of(row.driver, call);
  const bool is_driver_gone = force && driver.code() == Code::kNotFound;
  const Status removed = is_driver_gone   ? Status()
                         : driver.is_ok() ? (*driver)->remove(row, call)
                                          : driver.status();
  if (!removed.is_ok()) {
    // Nobody was told that it is gone; or it is nobody's, and the next sweep tries again.
    const std::string next = row.state == volume::state::kRemoving ? "" : row.state;
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kKept, call));
    POUCH_RETURN_IF_ERROR(volume::set_state(transaction, row.name, row.state, next, "").status());
    POUCH_RETURN_IF_ERROR(transaction.commit());
    return removed.prefix("remove " + row.name);
  }
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context_.db->begin(store::Durability::kKept, call));
  POUCH_ASSIGN_OR_RETURN(const auto there, volume::load_volume(transaction, row.name));
  if (!there || there->state != row.state) return {};
  POUCH_RETURN_IF_ERROR(volume::delete_volume(transaction, row.name));
  if (row.state == volume::state::kRemoving) POUCH_RETURN_IF_ERROR(append_event(transaction, row, "destroy"));
  return transaction.commit();
}

Status VolumeManager::remove(const std::string& name, const api::VolumeRemoveOptions& options,
                             const Call& call) {
  const bool force = options.force.value_or(false);
  return detached<Status>(call, [this, name, force]() -> Status {
    VolumeRow row;
    row.name = name;
    const Status claimed = claim_removal(row, own_call());
    if (claimed.code() == Code::kNotFound) {
      if (const auto foreign = find_foreign(name, own_call())) return remove_foreign(*foreign, own_call());
    }
    if (force && claimed.code() == Code::kNotFound) return {};
    POUCH_RETURN_IF_ERROR(claimed);
    return finish_removal(row, own_call(), force);
  });
}

Result<api::VolumePruneResult> VolumeManager::prune(const api::VolumePruneOptions& options,
                                                    const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const auto filter,
                         volume::PruneFilter::parse(options.filters.value_or(FilterMap{})));
  using Answer = Result<api::VolumePruneResult>;
  return detached<Answer>(call, [this, filter]() -> Answer {
    std::vector<VolumeRow> rows;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
      POUCH_ASSIGN_OR_RETURN(rows, volume::all_volumes(snapshot));
    }
    api::VolumePruneResult result;
    std::vector<std::string> names;
    for (VolumeRow& row : rows) {
      // As Moby: what a plugin has, or somebody wanted mounted in its own way, is not taken by the way.
      if (!filter.matches(row) || row.driver != "local" || row.options) continue;
      const Status claimed = claim_removal(row, own_call());
      if (claimed.code() == Code::kConflict || claimed.code() == Code::kNotFound) continue;
      POUCH_RETURN_IF_ERROR(claimed);
      const auto bytes = volume::folder_bytes(local_->mountpoint(row));
      POUCH_RETURN_IF_ERROR(finish_removal(row, own_call()));
      result.space_reclaimed += static_cast<uint64_t>(bytes.is_ok() ? *bytes : 0);
      names.push_back(row.name);
    }
    if (!names.empty()) result.volumes_deleted = std::move(names);
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kKept, own_call()));
    events::Event event;
    event.type = "volume";
    event.action = "prune";
    event.attributes["reclaimed"] = std::to_string(result.space_reclaimed);
    POUCH_RETURN_IF_ERROR(context_.events->append(transaction, std::move(event)).status());
    POUCH_RETURN_IF_ERROR(transaction.commit());
    return result;
  });
}

Result<std::vector<api::Volume>> VolumeManager::measure(const Call& call) {
  std::vector<api::Volume> out;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto rows, volume::all_volumes(snapshot));
    for (const VolumeRow& row : rows) {
      if (row.driver != "local" || !local_->is_plain_folder(row)) continue;  // as Moby: it is not ours
      POUCH_ASSIGN_OR_RETURN(const auto users, volume::users_of(snapshot, row.name));
      api::Volume shown = describe(row);
      shown.usage_data = api::VolumeUsageData{-1, static_cast<int64_t>(users.size())};
      out.push_back(std::move(shown));
    }
  }
  for (api::Volume& shown : out) {
    POUCH_RETURN_IF_ERROR(call.check());
    const auto bytes = volume::folder_bytes(shown.mountpoint);
    if (bytes.is_ok()) shown.usage_data->size = *bytes;
  }
  return out;
}

Status VolumeManager::remove_session(const std::string& session, const Call& call) {
  std::vector<std::string> names;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(names, store::objects_of_session(snapshot, session, store::kind::kVolume));
  }
  if (names.empty()) return {};
  POUCH_RETURN_IF_ERROR(sweep(call));  // what its client was making when it died
  Status first;
  for (const std::string& name : names) {
    Status removed = remove(name, {}, call);
    if (removed.code() == Code::kNotFound) removed = {};
    if (removed.code() == Code::kConflict) {  // it is somebody else's now
      POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                             context_.db->begin(store::Durability::kKept, call));
      POUCH_RETURN_IF_ERROR(store::disclaim(transaction, session, store::kind::kVolume, name));
      removed = transaction.commit();
    }
    if (first.is_ok()) first = removed;
  }
  return first;
}

}  // namespace pouch
