#include "core/container/list_filter.h"

#include <algorithm>
#include <array>
#include <regex>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::container {
namespace {

constexpr std::array<std::string_view, 15> kKeys{"ancestor", "before",  "exited",    "expose", "health",
                                                 "id",       "is-task", "isolation", "label",  "name",
                                                 "network",  "publish", "since",     "status", "volume"};
constexpr std::array<std::string_view, 7> kStates{"created",  "running", "paused", "restarting",
                                                  "removing", "exited",  "dead"};
constexpr std::array<std::string_view, 4> kHealths{"none", "starting", "healthy", "unhealthy"};
constexpr size_t kMaxPattern = 256;

Status bad_value(const std::string& key, const std::string& value) {
  return invalid_argument("Invalid filter '" + key + "=" + value + "'");
}

template <class Array>
bool is_one_of(const Array& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// Equal, or a regular expression found within. A bad expression matches nothing, as in Docker.
bool text_matches(const std::string& pattern, std::string_view text) {
  if (pattern == text) return true;
  if (pattern.size() > kMaxPattern) return false;
  try {
    return std::regex_search(std::string(text), std::regex(pattern, std::regex::ECMAScript));
  } catch (const std::regex_error&) {
    return false;
  }
}

struct PortRange {
  int64_t first = 0;
  int64_t last = 0;
  std::string protocol;
};

std::optional<PortRange> parse_ports(const std::string& text) {
  PortRange range;
  const size_t slash = text.find('/');
  range.protocol = slash == std::string::npos ? "tcp" : to_lower(text.substr(slash + 1));
  if (range.protocol != "tcp" && range.protocol != "udp" && range.protocol != "sctp") return std::nullopt;
  const std::string numbers = text.substr(0, slash);
  const size_t dash = numbers.find('-');
  const auto first = whole_number<int64_t>(numbers.substr(0, dash));
  const auto last = dash == std::string::npos ? first : whole_number<int64_t>(numbers.substr(dash + 1));
  if (!first || !last || *first < 1 || *last > 65535 || *first > *last) return std::nullopt;
  range.first = *first;
  range.last = *last;
  return range;
}

bool port_matches(const std::string& wanted, const std::string& port) {
  const auto range = parse_ports(wanted);
  const auto has = parse_ports(port);
  return range && has && range->protocol == has->protocol && has->first <= range->last &&
         range->first <= has->last;
}

bool is_true(std::string_view value) {
  return value == "1" || value == "true" || value == "True" || value == "TRUE";
}

Status check_value(const std::string& key, const std::string& value) {
  if (key == "status" && !is_one_of(kStates, value)) return bad_value(key, value);
  if (key == "health" && !is_one_of(kHealths, value)) return bad_value(key, value);
  if (key == "exited" && !whole_number<int64_t>(value)) return bad_value(key, value);
  if ((key == "expose" || key == "publish") && !parse_ports(value)) return bad_value(key, value);
  if (key == "is-task" && !is_true(value) && value != "0" && to_lower(value) != "false") {
    return bad_value(key, value);
  }
  return {};
}

}  // namespace

Result<ListFilter> ListFilter::parse(const FilterMap& filters) {
  POUCH_RETURN_IF_ERROR(check_filter_keys(filters, kKeys));
  ListFilter out;
  for (const auto& [key, values] : filters) {
    if (values.empty()) continue;
    for (const std::string& value : values) POUCH_RETURN_IF_ERROR(check_value(key, value));
    if ((key == "before" || key == "since") && values.size() > 1) {
      return invalid_argument("more than one " + key + " filter");
    }
    if (key == "exited") {
      for (const std::string& value : values) out.exit_codes_.insert(*whole_number<int64_t>(value));
    }
    out.values_[key] = values;
  }
  return out;
}

std::vector<std::string> ListFilter::values(const std::string& key) const {
  const auto at = values_.find(key);
  return at == values_.end() ? std::vector<std::string>() : at->second;
}

bool ListFilter::any(const std::string& key, const std::vector<std::string>& candidates) const {
  return passes_one(values_, key, [&](const std::string& value) { return is_one_of(candidates, value); });
}

bool ListFilter::matches_text(const FilterSubject& subject) const {
  const std::string with_slash = "/" + std::string(subject.name);
  return passes_one(values_, "id", [&](const auto& pattern) { return text_matches(pattern, subject.id); }) &&
         passes_one(values_, "name", [&](const auto& pattern) {
           return text_matches(pattern, subject.name) || text_matches(pattern, with_slash);
         });
}

bool ListFilter::matches_state(const FilterSubject& subject) const {
  if (!any("status", {std::string(subject.state)})) return false;
  if (!any("health", {std::string(subject.health)})) return false;
  if (!exit_codes_.empty()) {
    if (subject.running || !subject.has_exited || !exit_codes_.contains(subject.exit_code)) return false;
  }
  for (const std::string& value : values("is-task")) {
    if (is_true(value)) return false;  // none of ours is one
  }
  if (before_ && subject.created >= *before_) return false;
  return !since_ || subject.created > *since_;
}

bool ListFilter::matches_labels(const FilterSubject& subject) const {
  return passes_all(values_, "label", [&](const std::string& wanted) {
    return subject.labels != nullptr && has_label(*subject.labels, wanted);
  });
}

bool ListFilter::matches_objects(const FilterSubject& subject) const {
  if (values_.contains("ancestor") && !ancestors_.contains(std::string(subject.image_id))) return false;
  if (!any("network", subject.networks) || !any("volume", subject.volumes)) return false;
  if (!any("isolation", {"", "default"})) return false;
  const auto has_one = [](const std::vector<std::string>& wanted, const std::vector<std::string>& ports) {
    return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), [&](const std::string& one) {
             return std::any_of(ports.begin(), ports.end(),
                                [&](const std::string& port) { return port_matches(one, port); });
           });
  };
  return has_one(values("expose"), subject.exposed_ports) &&
         has_one(values("publish"), subject.published_ports);
}

bool ListFilter::matches(const FilterSubject& subject) const {
  return matches_text(subject) && matches_state(subject) && matches_labels(subject) &&
         matches_objects(subject);
}

}  // namespace pouch::container
