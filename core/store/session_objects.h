#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/store/database.h"

// Who made what for how long: sessions (docs/architecture.md) and the objects that end with them.

namespace pouch::store {

/// `kind` of a session's object; its key is the primary key of its table.
namespace kind {
inline constexpr std::string_view kContainer = "container";
inline constexpr std::string_view kExec = "exec";
inline constexpr std::string_view kImage = "image";
inline constexpr std::string_view kReference = "reference";
inline constexpr std::string_view kNetwork = "network";
inline constexpr std::string_view kVolume = "volume";
}  // namespace kind

/// Notes that the object, which the same transaction makes, ends with the session; nothing when `session` is
/// empty. Closed when the session has ended, or there is none of that id: then nothing may be made in it.
Status claim_for_session(Transaction& transaction, const std::string& session, std::string_view kind,
                         std::string_view key);
/// Keys of what the session has made and is still there.
Result<std::vector<std::string>> objects_of_session(store::Session& session, const std::string& id,
                                                    std::string_view kind);
/// The sessions that have claimed the object.
Result<std::vector<std::string>> sessions_of_object(store::Session& session, std::string_view kind,
                                                    std::string_view key);
/// Forgets that the object belongs to the session.
Status disclaim(Transaction& transaction, const std::string& id, std::string_view kind, std::string_view key);

/// From now on nothing can be claimed for it.
Status mark_session_ended(Transaction& transaction, const std::string& id);
/// False, and nothing is done, while it has objects.
Result<bool> forget_session(Transaction& transaction, const std::string& id);
/// Gives the object to another session, be it about to end.
Status inherit(Transaction& transaction, const std::string& heir, std::string_view kind,
               std::string_view key);
/// Ids of all, those included whose objects are being removed.
Result<std::vector<std::string>> all_sessions(store::Session& session);

}  // namespace pouch::store
