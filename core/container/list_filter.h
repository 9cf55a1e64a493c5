#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/filters.h"
#include "core/base/status.h"

namespace pouch::container {

/// What a list filter looks at.
struct FilterSubject {
  std::string_view id;
  std::string_view name;  ///< without slash
  std::string_view state;
  bool running = false;
  int64_t exit_code = 0;
  bool has_exited = false;  ///< ended at least once
  std::string_view health;  ///< "none" without a health check
  std::string_view image_id;
  Timestamp created;
  const std::map<std::string, std::string>* labels = nullptr;
  std::vector<std::string> networks;         ///< names and ids
  std::vector<std::string> volumes;          ///< names and destinations
  std::vector<std::string> exposed_ports;    ///< "80/tcp"
  std::vector<std::string> published_ports;  ///< of the host: "8080/tcp"
};

/// Compiled filters of container.list. Values of one key are alternatives, except labels, which must all
/// hold; all keys must hold.
class ListFilter {
 public:
  /// InvalidArgument with Moby's text for an unknown key or a bad value.
  static Result<ListFilter> parse(const FilterMap& filters);

  /// A status filter lists stopped containers too.
  bool wants_all() const { return values_.contains("status"); }
  /// Values that name other objects and must be resolved by the caller: ancestor, before, since.
  std::vector<std::string> values(const std::string& key) const;
  void set_ancestors(std::set<std::string> image_ids) { ancestors_ = std::move(image_ids); }
  /// Only those made strictly before (after) this container.
  void set_before(Timestamp time) { before_ = time; }
  void set_since(Timestamp time) { since_ = time; }

  bool matches(const FilterSubject& subject) const;

 private:
  bool matches_text(const FilterSubject& subject) const;
  bool matches_state(const FilterSubject& subject) const;
  bool matches_labels(const FilterSubject& subject) const;
  bool matches_objects(const FilterSubject& subject) const;
  bool any(const std::string& key, const std::vector<std::string>& candidates) const;

  FilterMap values_;
  std::set<std::string> ancestors_;
  std::set<int64_t> exit_codes_;
  std::optional<Timestamp> before_;
  std::optional<Timestamp> since_;
};

}  // namespace pouch::container
