#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/container/container_volumes.h"
#include "core/store/database.h"

// The rows of volumes and of who uses them. Every function works in the session given and makes no
// transaction.

namespace pouch::volume {

using Texts = std::map<std::string, std::string>;

namespace state {
inline constexpr const char* kCreating = "creating";
inline constexpr const char* kRemoving = "removing";
inline constexpr const char* kDropping = "dropping";  ///< as kRemoving, and its end was told
}  // namespace state

struct VolumeRow {
  std::string name;
  std::string driver;
  std::optional<Texts> options;  ///< as given
  std::optional<Texts> labels;
  bool is_anonymous = false;
  std::string state;  ///< "": it is there
  std::string owner;  ///< engine at work on it
  Timestamp created;

  bool is_settled() const { return state.empty(); }
};

/// Whatever state it is in.
Result<std::optional<VolumeRow>> load_volume(store::Session& session, const std::string& name);
/// By name; those being made or removed left out unless `all`.
Result<std::vector<VolumeRow>> all_volumes(store::Session& session, bool all = false);
/// AlreadyExists when the name is taken.
Status insert_volume(store::Session& session, const VolumeRow& row);
Status delete_volume(store::Session& session, const std::string& name);
/// False when it was not in the state `from`.
Result<bool> set_state(store::Session& session, const std::string& name, const std::string& from,
                       const std::string& to, const std::string& owner);

/// Ids of the containers that have it, running or not.
Result<std::vector<std::string>> users_of(store::Session& session, const std::string& name);
/// Whether another container than `except` has it and is being made, starts, runs or ends.
Result<bool> is_active(store::Session& session, const std::string& name, const ContainerId& except,
                       const std::string& boot);

/// A run's use of a volume that has to be mounted; written before the mount, forgotten after the unmount.
struct UseRow {
  std::string key;
  std::string volume;
  VolumeUser user;
};
std::string use_key(const std::string& volume, const VolumeUser& user);
Status put_use(store::Session& session, const std::string& volume, const VolumeUser& user,
               const std::string& owner);
/// Where the user finds it; for place_of_use().
Status set_use_place(store::Session& session, const std::string& key, const std::string& place);
/// Of any use of the volume; "" when there is none.
Result<std::string> place_of_use(store::Session& session, const std::string& volume);
Status drop_use(store::Session& session, const std::string& key);
/// Of runs that have ended.
Result<std::vector<UseRow>> ended_uses(store::Session& session, const std::string& boot);
/// Whether others than the one of `key` are written down.
Result<bool> has_other_uses(store::Session& session, const std::string& volume, const std::string& key);

}  // namespace pouch::volume
