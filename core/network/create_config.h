#pragma once

#include <string>

#include "core/api/network.gen.h"
#include "core/base/status.h"
#include "core/network/records.h"

namespace pouch::network {

/// Of the networks that every root has, and of their other names.
bool is_predefined(const std::string& name);

/// The row of a network that is to be made, as it was asked for; `base` is the configuration that ConfigFrom
/// names, or null. InvalidArgument, PermissionDenied, or NotImplemented naming the option, in Moby's words.
Result<NetworkRow> row_of(const api::NetworkCreateConfig& config, const NetworkRow* base,
                          const std::string& root_id);

}  // namespace pouch::network
