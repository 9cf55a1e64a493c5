#pragma once

#include <string>

#include "cli/console.h"

namespace pouch::cli {

/// Asks on the terminal whether to go on; no without an answer.
bool confirm(const Console& console, const std::string& warning);
/// One line of the standard input, without its end; asked for by `question`. With `is_secret` a terminal does
/// not show what is typed. Throws Exit at the end of the input.
std::string ask_line(const Console& console, const std::string& question, bool is_secret);
/// All of the standard input, without line breaks at its end; at most 64 KiB. Throws Exit.
std::string read_secret(const Console& console);

}  // namespace pouch::cli
