#pragma once

#include <json/value.h>

#include "cli/api.h"
#include "cli/console.h"

namespace pouch::cli {

/// Copies the output of a stdio stream to the console until it ends, and with `with_input` the console's
/// input to the stream until that ends. The result of the operation. Throws ApiError.
Json::Value copy_stdio(const Console& console, Stream& stream, bool with_input);

}  // namespace pouch::cli
