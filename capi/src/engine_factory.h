#pragma once

#include <memory>
#include <string>

#include "core/api/engine.gen.h"
#include "core/base/status.h"

namespace pouch::capi {

/// `uri`, or when empty the first that is set of $POUCH_HOST, the user's and the system's configuration file,
/// and the default socket. InvalidArgument for a configuration file that cannot be understood.
Result<std::string> resolve_uri(const std::string &uri);

/// The engine behind an address. InvalidArgument for an unknown scheme, NotImplemented for one that this
/// build lacks.
Result<std::shared_ptr<Engine>> open_engine(const std::string &uri);

}  // namespace pouch::capi
