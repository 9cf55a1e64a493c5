#include "core/events/event_rows.h"

#include <utility>

#include "core/api/codec.h"

namespace pouch::events {
namespace {

// Old rows go in batches: one delete in so many inserts.
constexpr int64_t kPruneEvery = 256;

Event read_row(const store::Statement& row) {
  Event event;
  event.seq = row.integer(0);
  event.time = row.time(1);
  event.type = row.text(2);
  event.action = row.text(3);
  event.actor_id = row.text(4);
  event.scope = row.text(6);
  // We wrote it; a row damaged by others still is an event without attributes.
  auto attributes = api::parse_document<std::map<std::string, std::string>>(row.text(5));
  if (attributes.is_ok()) event.attributes = std::move(*attributes);
  return event;
}

}  // namespace

Result<int64_t> insert_event(store::Transaction& transaction, const Event& event, int64_t kept) {
  POUCH_ASSIGN_OR_RETURN(
      store::Statement insert,
      transaction.prepare("INSERT INTO events(seq,time_ns,type,action,actor_id,attributes_json,scope) "
                          "VALUES((SELECT coalesce(max(seq),0)+1 FROM events),?,?,?,?,?,?) RETURNING seq"));
  insert.bind(event.time, event.type, event.action, event.actor_id, api::to_json_text(event.attributes),
              event.scope);
  POUCH_ASSIGN_OR_RETURN(const bool has_row, insert.step());
  if (!has_row) return internal_error("append event: no number was returned");
  const int64_t seq = insert.integer(0);
  POUCH_RETURN_IF_ERROR(insert.run());
  if (seq % kPruneEvery == 0) {
    POUCH_RETURN_IF_ERROR(transaction.run("DELETE FROM events WHERE seq<=?", seq - kept).status());
  }
  return seq;
}

Result<std::vector<Event>> load_events(store::Database& database, int64_t after, int64_t limit) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, database.read());
  POUCH_ASSIGN_OR_RETURN(store::Statement select,
                         snapshot.prepare("SELECT seq,time_ns,type,action,actor_id,attributes_json,scope "
                                          "FROM events WHERE seq>? ORDER BY seq LIMIT ?"));
  select.bind(after, limit);
  std::vector<Event> events;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool has_row, select.step());
    if (!has_row) return events;
    events.push_back(read_row(select));
  }
}

Result<int64_t> seq_before(store::Database& database, Timestamp since) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, database.read());
  // The clock may have been set back, so the first row at or after `since` counts, not the last before.
  POUCH_ASSIGN_OR_RETURN(store::Statement select,
                         snapshot.prepare("SELECT coalesce((SELECT min(seq)-1 FROM events WHERE time_ns>=?),"
                                          "(SELECT max(seq) FROM events),0)"));
  select.bind(since);
  POUCH_RETURN_IF_ERROR(select.step().status());
  return select.integer(0);
}

}  // namespace pouch::events
