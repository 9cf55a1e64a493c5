#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

/// What this containerd can do. Decide by plugins, never by the version. Threads and errors: see Client.
class Introspection : public Service {
 public:
  using Service::Service;

  Result<std::vector<PluginInfo>> plugins(const Call& call, const Filters& filters = {}) const;
  /// The plugin of that type and id; NotFound when it is absent or failed to start (the message says why).
  Result<PluginInfo> plugin(const Call& call, const std::string& type, const std::string& id) const;
  /// Random id of this containerd's state folder.
  Result<std::string> server_uuid(const Call& call) const;
};

}  // namespace pouch::ctrd
