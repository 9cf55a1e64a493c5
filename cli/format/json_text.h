#pragma once

#include <string>
#include <string_view>

namespace pouch::cli {

/// A JSON text, which must be well-formed, with line breaks and four blanks per level. Keeps the order of
/// keys. `level` is how deep its first line already stands.
std::string indented_json(std::string_view text, size_t level = 0);

}  // namespace pouch::cli
