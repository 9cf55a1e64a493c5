#pragma once

#include "core/api/system.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/store/engine_context.h"

namespace pouch {

/// The parts of system.diagnose that no other operation has: owners, keeper, plugins, rows, events, log,
/// limits. Holds nothing that users put into containers but ids.
Status diagnose(const EngineContext& context, const Call& call, api::Diagnosis& out);

}  // namespace pouch
