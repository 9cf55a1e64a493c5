#pragma once

#include <string>

#include "core/base/status.h"
#include "core/sys/child.h"

namespace pouch::cni {

/// Why a plugin that has ended did not do what it was told: by its own words on stdout, else by the last line
/// of stderr, else by how it ended. Ok when it ended with 0.
Status plugin_failure(const std::string& type, const sys::RunOutput& output);

}  // namespace pouch::cni
