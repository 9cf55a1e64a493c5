#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "pouch.h"

namespace pouch::cli {

/// Docker's exit codes of the command itself, beside those of containers.
constexpr int kExitError = 1;
constexpr int kExitUsage = 125;          ///< a bad flag; `run`: the container could not be made or started
constexpr int kExitCannotInvoke = 126;   ///< `run`: its command is there but cannot be run
constexpr int kExitNoSuchCommand = 127;  ///< `run`: its command is not there

/// Ends a command: main prints `what()`, unless empty, as one or more lines on stderr and exits with `code`.
class Exit : public std::runtime_error {
 public:
  Exit(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
  [[nodiscard]] int code() const { return code_; }

 private:
  int code_;
};

/// What the library answered.
class ApiError : public Exit {
 public:
  ApiError(pouch_status_t status, std::string message)
      : Exit(kExitError, "Error: " + message), status_(status), message_(std::move(message)) {}
  [[nodiscard]] pouch_status_t status() const { return status_; }
  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  pouch_status_t status_;
  std::string message_;
};

}  // namespace pouch::cli
