#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "cli/api.h"
#include "cli/console.h"

namespace pouch::cli {

struct TerminalSize {
  uint32_t rows = 0;
  uint32_t columns = 0;
};

/// Of the console's output; nothing where that is no terminal, or does not know its size.
std::optional<TerminalSize> terminal_size(const Console& console);

/// While it lives, the console's terminal stands for a process's: it is raw when `raw` (and the console's
/// input a terminal), and its size, now and whenever it changes, goes to the stream. However the command
/// ends, the terminal is as it was before: by the destructor, and on the signals that end a program, which
/// then end it.
class TerminalSession {
 public:
  /// `redraw`: the process drew before somebody looked: a changed size makes it draw again. Throws Exit.
  TerminalSession(const Console& console, Stream& stream, bool raw, bool redraw);
  ~TerminalSession();
  TerminalSession(const TerminalSession&) = delete;
  TerminalSession& operator=(const TerminalSession&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pouch::cli
