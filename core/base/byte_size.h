#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/status.h"

namespace pouch {

/// "100m", "1.5 GiB", "512" as Docker reads amounts of memory (go-units RAMInBytes): k, m, g, t, p are powers
/// of 1024, a fraction of a byte is dropped. InvalidArgument in its words.
Result<int64_t> parse_byte_size(std::string_view text);

}  // namespace pouch
