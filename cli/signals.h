#pragma once

#include <functional>
#include <memory>
#include <string>

namespace pouch::cli {

/// While it lives, the signals that a user sends to the command go to `handle` instead, on a thread of its
/// own: "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCONT". After the third
/// SIGINT or SIGTERM the program ends with exit code 1, whatever `handle` did with them.
class SignalForwarder {
 public:
  /// Blocks the signals on the calling thread, so that threads made later have them blocked, too. Throws
  /// Exit.
  explicit SignalForwarder(std::function<void(const std::string& signal)> handle);
  ~SignalForwarder();
  SignalForwarder(const SignalForwarder&) = delete;
  SignalForwarder& operator=(const SignalForwarder&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pouch::cli
