#pragma once

#include <json/value.h>

#include <functional>
#include <string>

#include "cli/api.h"
#include "cli/console.h"
#include "cli/signals.h"

namespace pouch::cli {

/// What is told when the detach keys have ended an attach, as by Docker's command.
constexpr const char* kLeft = "read escape sequence";

struct CopyOptions {
  bool input = false;     ///< the console's input goes to the stream until that ends
  bool terminal = false;  ///< the process has a terminal: the console's is raw, and its size the process's
  bool redraw = false;    ///< the process may have drawn before
};

/// Copies the output of a stdio stream to the console until it ends. The result of the operation. Throws
/// ApiError.
Json::Value copy_stdio(const Console& console, Stream& stream, const CopyOptions& options);

/// Throws Exit where a terminal is wanted and the console's input is none.
void check_terminal(const Console& console, bool with_input, bool terminal);

/// Options of container.attach.
Json::Value attach_options(bool with_input, const std::string& detach_keys);

/// Gives signals to the container.
std::function<void(const std::string&)> kill_with(Client& client, const std::string& id);

/// Waits for the end of a stream of container.wait. Throws Exit, ApiError.
int exit_code_of(Stream& wait);

}  // namespace pouch::cli
