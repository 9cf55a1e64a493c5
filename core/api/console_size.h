#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace pouch::api {

/// The size of a terminal as documents have it. InvalidArgument naming `where` unless it is absent or [rows,
/// columns].
inline Status check_console_size(const std::optional<std::vector<uint64_t>>& size, const char* where) {
  if (!size || size->size() == 2) return {};
  return invalid_argument(std::string(where) + ": wants two numbers, [rows, columns]");
}

}  // namespace pouch::api
