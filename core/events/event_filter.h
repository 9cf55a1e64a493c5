#pragma once

#include <optional>
#include <string>

#include "core/base/filters.h"
#include "core/base/status.h"
#include "core/events/event.h"

namespace pouch::events {

/// Moby's filters of GET /events. Values of one filter are alternatives, except labels, which all must be
/// there; filters are combined by and.
class EventFilter {
 public:
  /// InvalidArgument "invalid filter 'x'" for a name that is none.
  static Result<EventFilter> make(const std::optional<FilterMap>& filters);
  bool matches(const Event& event) const;

 private:
  explicit EventFilter(FilterMap filters) : filters_(std::move(filters)) {}

  FilterMap filters_;
};

}  // namespace pouch::events
