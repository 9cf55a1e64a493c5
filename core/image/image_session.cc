#include "core/image/image_session.h"

#include <optional>
#include <set>
#include <vector>

#include "core/image/image_importer.h"
#include "core/image/image_remove.h"
#include "core/image/image_store.h"
#include "core/store/session_objects.h"

namespace pouch::image {
namespace {

namespace kind = store::kind;

/// Who goes on needing an image after its session.
struct Heirs {
  std::set<std::string> sessions;
  bool has_everybody = false;  ///< somebody outside of all sessions

  bool empty() const { return sessions.empty() && !has_everybody; }

  Status add(store::Transaction& transaction, std::string_view kind, const std::string& key) {
    POUCH_ASSIGN_OR_RETURN(const auto owners, store::sessions_of_object(transaction, kind, key));
    if (owners.empty()) has_everybody = true;
    sessions.insert(owners.begin(), owners.end());
    return {};
  }
};

Result<Heirs> find_heirs(ImageUsers* users, store::Transaction& transaction, const Digest& id,
                         const std::string& session) {
  Heirs heirs;
  POUCH_RETURN_IF_ERROR(heirs.add(transaction, kind::kImage, id.str()));
  POUCH_ASSIGN_OR_RETURN(const bool is_of_sessions, is_image_of_sessions(transaction, id));
  heirs.has_everybody = !is_of_sessions;
  POUCH_ASSIGN_OR_RETURN(const auto names, names_of(transaction, id));
  for (const NameRow& name : names) {
    POUCH_RETURN_IF_ERROR(heirs.add(transaction, kind::kReference, name.reference.str()));
    POUCH_ASSIGN_OR_RETURN(const bool is_theirs, is_name_of_sessions(transaction, name.reference.str()));
    if (!is_theirs) heirs.has_everybody = true;
  }
  if (users != nullptr) {
    POUCH_ASSIGN_OR_RETURN(const auto uses, users->uses_of_image(id));
    for (const ImageUse& use : uses) {
      POUCH_RETURN_IF_ERROR(heirs.add(transaction, kind::kContainer, use.container.str()));
    }
  }
  heirs.sessions.erase(session);
  return heirs;
}

/// The steps for one object; each returns containerd's records that are to go.
using Records = std::vector<std::string>;

Result<Records> end_name(EngineContext& context, store::Transaction& transaction, const std::string& key,
                         const std::string& session) {
  POUCH_RETURN_IF_ERROR(store::disclaim(transaction, session, kind::kReference, key));
  POUCH_ASSIGN_OR_RETURN(const auto others, store::sessions_of_object(transaction, kind::kReference, key));
  POUCH_ASSIGN_OR_RETURN(const bool is_of_sessions, is_name_of_sessions(transaction, key));
  if (!is_of_sessions || !others.empty()) return Records();
  POUCH_ASSIGN_OR_RETURN(const Reference reference, Reference::parse(key));
  return remove_name_alone(context, transaction, reference);
}

Result<Records> end_image(EngineContext& context, ImageUsers* users, store::Transaction& transaction,
                          const std::string& key, const std::string& session) {
  const Digest id(key);
  POUCH_ASSIGN_OR_RETURN(const Heirs heirs, find_heirs(users, transaction, id, session));
  POUCH_RETURN_IF_ERROR(store::disclaim(transaction, session, kind::kImage, key));
  if (heirs.empty()) return remove_unused_image(context, users, transaction, id);
  if (heirs.has_everybody) {
    POUCH_RETURN_IF_ERROR(make_image_everybodys(transaction, id));
    return Records();
  }
  for (const std::string& heir : heirs.sessions) {
    POUCH_RETURN_IF_ERROR(store::inherit(transaction, heir, kind::kImage, key));
  }
  return Records();
}

}  // namespace

Status remove_session_images(EngineContext& context, ImageUsers* users, const Call& call,
                             const std::string& session) {
  for (const std::string_view kind : {kind::kReference, kind::kImage}) {
    std::vector<std::string> keys;
    {
      POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
      POUCH_ASSIGN_OR_RETURN(keys, store::objects_of_session(snapshot, session, kind));
    }
    for (const std::string& key : keys) {
      POUCH_RETURN_IF_ERROR(call.check());
      Records records;
      {
        POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                               context.db->begin(store::Durability::kKept, call));
        POUCH_ASSIGN_OR_RETURN(records, kind == kind::kReference
                                            ? end_name(context, transaction, key, session)
                                            : end_image(context, users, transaction, key, session));
        POUCH_RETURN_IF_ERROR(transaction.commit());
      }
      if (!records.empty()) forget_records(context, settled(call), records);
    }
  }
  return {};
}

}  // namespace pouch::image
