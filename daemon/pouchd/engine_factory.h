#pragma once

#include <memory>

#include "core/api/engine.gen.h"
#include "daemon/pouchd/options.h"

namespace pouch::pouchd {

/// The engine that the options ask for.
Result<std::unique_ptr<Engine>> make_engine(const Options& options);

}  // namespace pouch::pouchd
