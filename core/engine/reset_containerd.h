#pragma once

#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"

namespace pouch {

/// Removes all that the client's namespace holds in a containerd that others use too, then the namespace.
Status empty_namespace(const ctrd::Client& client, const std::string& snapshotter, const Call& call);

}  // namespace pouch
