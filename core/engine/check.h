#pragma once

#include "core/api/system.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/store/engine_options.h"

namespace pouch {

/// What system.check answers, without opening the root: where that fails, one of the findings says why.
/// Makes nothing. InvalidArgument for options that make no sense.
Result<api::CheckReport> check_engine(EngineOptions options, const Call& call);

}  // namespace pouch
