#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/api/stream.h"
#include "core/base/status.h"

namespace pouch::mock {

struct TerminalSize {
  uint64_t rows = 0;
  uint64_t columns = 0;
};

/// A process that runs nowhere: a thread that understands a handful of programs well enough for scripts:
/// true, false, echo [-n], cat, sleep, exit, printf, head -c N /dev/zero, kill, read, stty size,
/// trap '' SIGNAL, and sh -c with ";", "&&" and ">&2". On a terminal its input is echoed and taken line by
/// line, ctrl-c and ctrl-d do what they should, and all output is stdout with carriage returns.
class MockProcess {
 public:
  struct Hooks {
    /// On the process's thread, and the echo of a terminal on that of write_stdin().
    std::function<void(Channel, std::string)> output;
    std::function<void(int exit_code)> exited;  ///< the last thing that happens
  };

  /// InvalidArgument with a runtime's words when the program is not known.
  static Status check(const std::vector<std::string>& args);

  MockProcess(std::vector<std::string> args, bool has_stdin, std::optional<TerminalSize> terminal,
              Hooks hooks);
  ~MockProcess();  ///< kills and waits, unless called by a hook
  MockProcess(const MockProcess&) = delete;
  MockProcess& operator=(const MockProcess&) = delete;

  void start();
  void write_stdin(const std::string& bytes);
  void close_stdin();
  void signal(int number);
  /// Of the terminal; without one nothing changes.
  void resize(TerminalSize size);

 private:
  struct Typed {
    std::string echo = {};
    // For the process, once the echo is shown.
    std::string readable = {};
    bool ends_input = false;
    bool interrupts = false;
  };

  int run_script(const std::string& script);
  int run_command(std::vector<std::string> words);
  int cat(Channel channel);
  int read_line();
  int stty(Channel channel);
  /// What a terminal makes of a typed character. With mutex_ held.
  Typed type(char c);
  /// False when a signal ended it first.
  bool sleep_for(double seconds);
  void emit(Channel channel, std::string bytes);
  bool is_killed();

  const std::vector<std::string> args_;
  const bool has_terminal_;
  Hooks hooks_;  // only changed by the process's thread, with mutex_ held
  std::mutex mutex_;
  std::condition_variable changed_;
  // Below protected by mutex_.
  TerminalSize size_;
  std::string line_;  // typed on a terminal and not yet ended
  std::string stdin_;
  bool stdin_closed_;
  int killed_by_ = 0;
  std::vector<int> ignored_;
  // Only touched by the process's thread.
  bool exiting_ = false;

  std::thread thread_;
};

}  // namespace pouch::mock
