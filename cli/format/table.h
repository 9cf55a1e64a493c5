#pragma once

#include <string>

namespace pouch::cli {

/// Aligns lines whose cells end with tabs, as Docker's tables are: columns at least ten wide, three blanks
/// between them. The cell after the last tab of a line is not padded. Widths are counted in characters.
std::string aligned(const std::string& text);

}  // namespace pouch::cli
