#include "core/store/session_objects.h"

#include "core/base/clock.h"
#include "core/base/text.h"

namespace pouch::store {
namespace {

Result<std::vector<std::string>> texts(Statement& rows) {
  std::vector<std::string> out;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool found, rows.step());
    if (!found) return out;
    out.push_back(rows.text(0));
  }
}

}  // namespace

Status claim_for_session(Transaction& transaction, const std::string& session, std::string_view kind,
                         std::string_view key) {
  if (session.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const int64_t added,
                         transaction.run("INSERT OR IGNORE INTO session_objects(kind, key, session) "
                                         "SELECT ?1, ?2, id FROM sessions WHERE id = ?3 AND ended_ns IS NULL",
                                         kind, key, session));
  if (added == 1) return {};
  POUCH_ASSIGN_OR_RETURN(Statement open,
                         transaction.prepare("SELECT 1 FROM sessions WHERE id = ? AND ended_ns IS NULL"));
  open.bind(session);
  POUCH_ASSIGN_OR_RETURN(const bool is_open, open.step());
  if (is_open) return {};  // claimed before
  return {Code::kClosed, "session " + quote(session) + " has ended: nothing can be made in it"};
}

Result<std::vector<std::string>> objects_of_session(store::Session& session, const std::string& id,
                                                    std::string_view kind) {
  POUCH_ASSIGN_OR_RETURN(
      Statement rows,
      session.prepare("SELECT key FROM session_objects WHERE session = ? AND kind = ? ORDER BY key"));
  rows.bind(id, kind);
  return texts(rows);
}

Result<std::vector<std::string>> sessions_of_object(store::Session& session, std::string_view kind,
                                                    std::string_view key) {
  POUCH_ASSIGN_OR_RETURN(Statement rows,
                         session.prepare("SELECT session FROM session_objects WHERE kind = ? AND key = ?"));
  rows.bind(kind, key);
  return texts(rows);
}

Status disclaim(Transaction& transaction, const std::string& id, std::string_view kind,
                std::string_view key) {
  return transaction
      .run("DELETE FROM session_objects WHERE kind = ? AND key = ? AND session = ?", kind, key, id)
      .status();
}

Status mark_session_ended(Transaction& transaction, const std::string& id) {
  return transaction
      .run("UPDATE sessions SET ended_ns = ?2 WHERE id = ?1 AND ended_ns IS NULL", id, Timestamp::now())
      .status();
}

Result<bool> forget_session(Transaction& transaction, const std::string& id) {
  POUCH_ASSIGN_OR_RETURN(const int64_t gone,
                         transaction.run("DELETE FROM sessions WHERE id = ?1 AND NOT EXISTS "
                                         "(SELECT 1 FROM session_objects WHERE session = ?1)",
                                         id));
  return gone == 1;
}

Status inherit(Transaction& transaction, const std::string& heir, std::string_view kind,
               std::string_view key) {
  return transaction
      .run(
          "INSERT OR IGNORE INTO session_objects(kind, key, session) "
          "SELECT ?1, ?2, id FROM sessions WHERE id = ?3",
          kind, key, heir)
      .status();
}

Result<std::vector<std::string>> all_sessions(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(Statement rows, session.prepare("SELECT id FROM sessions ORDER BY id"));
  return texts(rows);
}

}  // namespace pouch::store
