#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/api.h"
#include "cli/console.h"

namespace pouch::cli {

/// What every command gets.
class Context {
 public:
  /// `host` "" is the library's default. `log_level` is a POUCH_LOG_ level, 0 none. With `session` all that
  /// the command makes is removed when it ends.
  Context(Console console, std::string host, uint32_t log_level, bool session)
      : console_(console), host_(std::move(host)), log_level_(log_level), session_(session) {}

  [[nodiscard]] const Console& console() const { return console_; }
  /// As it was given, "" for the library's default.
  [[nodiscard]] const std::string& host() const { return host_; }
  /// The engine, opened at first use. Throws ApiError.
  Client& client() {
    if (!client_) client_ = std::make_unique<Client>(host_, log_level_, session_);
    return *client_;
  }

 private:
  Console console_;
  std::string host_;
  uint32_t log_level_;
  bool session_;
  std::unique_ptr<Client> client_;
};

/// A command as it was called.
struct Invocation {
  std::string command;            ///< "pouch container ls"
  std::vector<std::string> args;  ///< what follows
};

/// Runs a command line without the global flags; the exit code. Throws Exit.
int dispatch(Context& context, const std::vector<std::string>& words);

}  // namespace pouch::cli
