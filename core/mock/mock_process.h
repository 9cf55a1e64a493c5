#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/api/stream.h"
#include "core/base/status.h"

namespace pouch::mock {

/// A process that runs nowhere: a thread that understands a handful of programs well enough for scripts:
/// true, false, echo [-n], cat, sleep, exit, printf, head -c N /dev/zero, kill, trap '' SIGNAL, and sh -c
/// with
/// ";", "&&" and ">&2".
class MockProcess {
 public:
  struct Hooks {
    std::function<void(Channel, std::string)> output;  ///< on the process's thread
    std::function<void(int exit_code)> exited;         ///< the last thing that happens
  };

  /// InvalidArgument with a runtime's words when the program is not known.
  static Status check(const std::vector<std::string>& args);

  MockProcess(std::vector<std::string> args, bool has_stdin, Hooks hooks);
  ~MockProcess();  ///< kills and waits, unless called by a hook
  MockProcess(const MockProcess&) = delete;
  MockProcess& operator=(const MockProcess&) = delete;

  void start();
  void write_stdin(const std::string& bytes);
  void close_stdin();
  void signal(int number);

 private:
  int run_script(const std::string& script);
  int run_command(std::vector<std::string> words);
  int cat(Channel channel);
  /// False when a signal ended it first.
  bool sleep_for(double seconds);
  void emit(Channel channel, std::string bytes);
  bool is_killed();

  const std::vector<std::string> args_;
  Hooks hooks_;  // only touched by the process's thread once it runs
  std::mutex mutex_;
  std::condition_variable changed_;
  // Below protected by mutex_.
  std::string stdin_;
  bool stdin_closed_;
  int killed_by_ = 0;
  std::vector<int> ignored_;
  // Only touched by the process's thread.
  bool exiting_ = false;

  std::thread thread_;
};

}  // namespace pouch::mock
