#pragma once

#include <cstdint>
#include <vector>

#include "core/base/status.h"
#include "core/events/event.h"
#include "core/store/database.h"

namespace pouch::events {

/// Adds the row and now and then deletes the oldest beyond `kept`; its number.
Result<int64_t> insert_event(store::Transaction& transaction, const Event& event, int64_t kept);
/// Up to `limit` events numbered above `after`, in order.
Result<std::vector<Event>> load_events(store::Database& database, int64_t after, int64_t limit);
/// The number after which all events at or after `since` come.
Result<int64_t> seq_before(store::Database& database, Timestamp since);

}  // namespace pouch::events
