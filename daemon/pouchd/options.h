#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace pouch::pouchd {

/// What pouchd is told by its command line and its config file. Empty strings: the engine's default.
struct Options {
  std::vector<std::string> listen;  ///< unix:///path, tcp://host:port
  std::string home_dir;
  std::string exec_root_dir;
  std::string containerd;
  std::string snapshotter;
  std::string default_runtime;
  std::map<std::string, std::string> runtimes;  ///< name → name or path of the binary
  std::string group;                            ///< of the unix sockets: name or number
  std::string pidfile;
  std::string registries_file;
  std::vector<std::string> registry_mirrors;
  std::vector<std::string> insecure_registries;
  bool debug = false;
  bool mock = false;  ///< an engine in memory, for tests of clients
};

struct CommandLine {
  Options options;
  bool is_done = false;  ///< help or version was printed; nothing to start
};

/// Command line and config file together; InvalidArgument for a bad option, an unknown key, a bad value, or
/// an option given in both places.
Result<CommandLine> parse_command_line(int argc, const char* const* argv);

/// One option as the config file or the command line gives it.
using OptionValues = std::map<std::string, std::vector<std::string>>;
/// The config file's keys (the long option names) as values; InvalidArgument names what is wrong.
Result<OptionValues> parse_config(const std::string& json_text);
/// Puts values into options; the keys are known.
Status apply_values(const OptionValues& values, Options& options);

}  // namespace pouch::pouchd
