#pragma once

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

/// For people to read; features are found by Introspection. Threads and errors: see Client.
class VersionService : public Service {
 public:
  using Service::Service;

  Result<VersionInfo> get(const Call& call) const;
};

}  // namespace pouch::ctrd
