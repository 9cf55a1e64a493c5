#pragma once

#include <string>

#include "core/store/engine_context.h"

namespace pouch::image {

// Image records that this engine should have taken from containerd and could not, because containerd was
// away: the next sweep does it, or that of whoever opens the root after the engine's end. Thread-safe.

void owe_removal(const EngineContext& context, const std::string& record);
/// The record is wanted (again), or gone.
void settle_removal(const EngineContext& context, const std::string& record);
bool is_removal_owed(const EngineContext& context, const std::string& record);
bool owes_removals(const EngineContext& context);

}  // namespace pouch::image
