#include "core/events/event_filter.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/text.h"

namespace pouch::events {
namespace {

using Values = std::vector<std::string>;

constexpr std::array<std::string_view, 9> kNames{"container", "daemon", "event", "image", "label",
                                                 "network",   "scope",  "type",  "volume"};

std::string attribute(const Event& event, const char* name) {
  const auto at = event.attributes.find(name);
  return at == event.attributes.end() ? std::string() : at->second;
}

bool has_value(const Values& values, std::string_view text) {
  return std::find(values.begin(), values.end(), text) != values.end();
}

bool has_prefix_of(const Values& values, std::string_view text) {
  return std::any_of(values.begin(), values.end(),
                     [text](const std::string& value) { return text.starts_with(value); });
}

// These actions carry a detail after a colon: their bare name stands for all.
bool matches_action(const Values& values, std::string_view action) {
  return std::any_of(values.begin(), values.end(), [action](const std::string& value) {
    const bool has_detail = value == "exec_create" || value == "exec_start" || value == "health_status";
    return has_detail ? action.starts_with(value) : action == value;
  });
}

// By id or name, or the beginning of one.
bool matches_object(const Values& values, const Event& event) {
  const std::string name = attribute(event, "name");
  return has_prefix_of(values, event.actor_id) || (!name.empty() && has_prefix_of(values, name));
}

std::string without_tag(const std::string& reference) {
  const size_t colon = reference.rfind(':');
  const size_t slash = reference.rfind('/');
  // A colon before the last slash belongs to a registry's port.
  if (colon == std::string::npos || (slash != std::string::npos && colon < slash)) return reference;
  return reference.substr(0, colon);
}

bool matches_image(const Values& values, const Event& event) {
  const std::string name = attribute(event, event.type == "image" ? "name" : "image");
  return has_value(values, event.actor_id) || has_value(values, name) ||
         has_value(values, without_tag(event.actor_id)) || has_value(values, without_tag(name));
}

bool matches_labels(const Values& values, const Event& event) {
  return std::all_of(values.begin(), values.end(),
                     [&event](const std::string& wanted) { return has_label(event.attributes, wanted); });
}

bool matches_one(const std::string& name, const Values& values, const Event& event) {
  if (name == "event") return matches_action(values, event.action);
  if (name == "type") return has_value(values, event.type);
  if (name == "scope") return has_value(values, event.scope);
  if (name == "image") return matches_image(values, event);
  if (name == "label") return matches_labels(values, event);
  return matches_object(values, event);
}

}  // namespace

Result<EventFilter> EventFilter::make(const std::optional<FilterMap>& filters) {
  if (!filters) return EventFilter({});
  FilterMap used;
  for (const auto& [name, values] : *filters) {
    if (std::find(kNames.begin(), kNames.end(), name) == kNames.end()) {
      return invalid_argument("invalid filter '" + name + "'");
    }
    if (!values.empty()) used.emplace(name, values);
  }
  return EventFilter(std::move(used));
}

bool EventFilter::matches(const Event& event) const {
  return std::all_of(filters_.begin(), filters_.end(), [&event](const auto& filter) {
    return matches_one(filter.first, filter.second, event);
  });
}

}  // namespace pouch::events
