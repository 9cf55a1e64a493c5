#pragma once

#include <string>
#include <vector>

#include "core/api/json.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/cni/attachment.h"
#include "core/cni/network_list.h"
#include "core/cni/plugins.h"

namespace pouch::cni {

/// One command for the plugins of a list: makes what each of them is told, and runs them one by one. Refers
/// to what it is made of.
class Order {
 public:
  /// Finds all plugins and the version that each one speaks, before any is told to do something. `attachment`
  /// is null for commands that are about none.
  static Result<Order> prepare(const Plugins& plugins, const NetworkList& list, const Attachment* attachment,
                               const Call& call);

  size_t size() const { return list_->plugins.size(); }
  /// What is spoken with a plugin.
  const std::string& version(size_t index) const { return versions_[index]; }
  std::string type(size_t index) const { return list_->plugins[index]["type"].asString(); }

  /// Runs one: what it wrote to stdout. `previous`, when not null, is the result that it is told of. `more`
  /// are further members of its configuration.
  Result<std::string> run(size_t index, const std::string& command, const Outcome* previous,
                          const Json& more = json_object()) const;

 private:
  Order(const Plugins& plugins, const NetworkList& list, const Attachment* attachment, const Call& call)
      : plugins_(&plugins), list_(&list), attachment_(attachment), call_(&call) {}
  Json config(size_t index, const Outcome* previous, const Json& more) const;

  const Plugins* plugins_;
  const NetworkList* list_;
  const Attachment* attachment_;
  const Call* call_;
  std::vector<std::string> versions_;
};

}  // namespace pouch::cni
